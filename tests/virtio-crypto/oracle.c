// SPDX-License-Identifier: BSD-3-Clause
/* OpenSSL, which knows what is right. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <openssl/evp.h>

#include "crypto_tests.h"

/* AES-CBC is AES-128-CBC there; XTS has two keys in one. */
static const EVP_CIPHER *find(enum crypto_cipher cipher, size_t key_len)
{
	size_t bits = key_len * (cipher == CRYPTO_AES_XTS ? 4 : 8);
	const char *name = crypto_cipher_name(cipher);
	char full[32];

	switch (cipher) {
	case CRYPTO_3DES_ECB: return EVP_des_ede3_ecb();
	case CRYPTO_3DES_CBC: return EVP_des_ede3_cbc();
	default: break;
	}
	snprintf(full, sizeof(full), "AES-%zu-%s", bits, name + 4);
	return EVP_get_cipherbyname(full);
}

/* OpenSSL has no DES-EDE3-CTR: each block of the counter, encrypted, is the key stream. */
static bool des_ctr(EVP_CIPHER_CTX *ctx, const uint8_t *key, const uint8_t *iv, const uint8_t *from,
		    uint8_t *to, size_t len)
{
	uint8_t counter[8], stream[8];
	int n;

	if (EVP_CipherInit_ex(ctx, EVP_des_ede3_ecb(), NULL, key, NULL, 1) != 1 ||
	    EVP_CIPHER_CTX_set_padding(ctx, 0) != 1)
		return false;
	memcpy(counter, iv, sizeof(counter));
	for (size_t at = 0; at < len; at += sizeof(counter)) {
		if (EVP_CipherUpdate(ctx, stream, &n, counter, sizeof(counter)) != 1)
			return false;
		for (size_t i = 0; i < sizeof(counter) && at + i < len; i++)
			to[at + i] = from[at + i] ^ stream[i];
		/* The last byte is the lowest. */
		for (size_t i = sizeof(counter); i-- && !++counter[i];)
			;
	}
	return true;
}

int oracle(enum crypto_cipher cipher, bool encrypt, const uint8_t *key, size_t key_len,
	   const uint8_t *iv, const uint8_t *from, uint8_t *to, size_t len)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0, rest = 0;
	bool good;

	if (ctx && cipher == CRYPTO_3DES_CTR)
		good = des_ctr(ctx, key, iv, from, to, len);
	else
		good = ctx &&
		       EVP_CipherInit_ex(ctx, find(cipher, key_len), NULL, key, iv, encrypt) == 1 &&
		       EVP_CIPHER_CTX_set_padding(ctx, 0) == 1 &&
		       EVP_CipherUpdate(ctx, to, &n, from, (int)len) == 1 &&
		       EVP_CipherFinal_ex(ctx, to + n, &rest) == 1 && (size_t)(n + rest) == len;
	EVP_CIPHER_CTX_free(ctx);
	return good ? 0 : -EIO;
}
