#include "cbench.h"
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

void cbench_stamp(void *message, uint64_t number, uint64_t producer) {
  memcpy(message, &number, 8);
  memcpy((char *)message + 8, &producer, 8);
}
void cbench_fill(void *message, size_t size, uint64_t number, uint64_t producer) {
  memset(message, (int)number, size);
  cbench_stamp(message, number, producer);
}
uint64_t cbench_touch(const void *message, size_t size) {
  uint64_t sum = 0, word;
  for (size_t i = 0; i + 8 <= size; i += 64) {
    memcpy(&word, (const char *)message + i, 8);
    sum += word;
  }
  /* The compiler must not find out that nobody wants the sum. */
  __asm__ volatile("" : : "r"(sum) : "memory");
  return sum;
}
int cbench_see(struct cbench_check *check, const void *message, size_t size) {
  uint64_t number, producer;
  memcpy(&number, message, 8);
  memcpy(&producer, (const char *)message + 8, 8);
  cbench_touch(message, size);
  if (producer >= 64 || number < check->next[producer]) return -1;
  check->next[producer] = number + 1;
  check->count++;
  check->sum += number;
  return 0;
}

struct cbench_hash { EVP_MD *algorithm; EVP_MD_CTX *context; };
struct cbench_hash *cbench_hash_make(void) {
  struct cbench_hash *hash = malloc(sizeof *hash);
  if (!hash) return NULL;
  /* Fetched once: an implicit fetch in each round would cost more than the hash (EVP_MD_fetch(3)). */
  hash->algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
  hash->context = EVP_MD_CTX_new();
  return hash;
}
void cbench_hash_free(struct cbench_hash *hash) {
  EVP_MD_CTX_free(hash->context);
  EVP_MD_free(hash->algorithm);
  free(hash);
}
int cbench_hash_rounds(struct cbench_hash *hash, const void *message, size_t size, int rounds, uint8_t digest[32]) {
  for (int i = 0; i < rounds; i++) {
    if (!EVP_DigestInit_ex2(hash->context, hash->algorithm, NULL) || !EVP_DigestUpdate(hash->context, message, size) ||
        !EVP_DigestFinal_ex(hash->context, digest, NULL))
      return -1;
    message = digest;
    size = 32;
  }
  return 0;
}
