/*
** tls_alloc_test.c: the n-th allocation fails, ours or OpenSSL's: contexts, filters, handshakes and
** data either work or say that they did not; nothing crashes, nothing leaks, nothing secret leaves.
**
** Our malloc, realloc and calloc are wrapped by the linker, OpenSSL's by its own hook.
*/
#include "fail.h"
#include "tls_fixture.h"

#include <openssl/crypto.h>

static void *ssl_malloc(size_t n, const char *file, int line) {
  (void)file, (void)line;
  return fails() ? NULL : __real_malloc(n);
}

static void *ssl_realloc(void *p, size_t n, const char *file, int line) {
  (void)file, (void)line;
  return fails() ? NULL : __real_realloc(p, n);
}

static void ssl_free(void *p, const char *file, int line) {
  (void)file, (void)line;
  free(p);
}

static struct identity root, good;
static struct lm_tls_context *server;

/* A whole life under a failing allocation; true where it went well all the same. */
static bool live(long nth, bool context_too) {
  struct lm_tls_options o = client_options(&root);
  struct lm_buf why = {NULL, 0, 0, 0};
  struct lm_tls_context *c = NULL;
  struct side a = {0}, b = {0};
  bool well = false, made;
  if (context_too) fail_at(nth);
  c = lm_tls_context_new(&o, &why);
  fail_at(nth);
  made = c && side_open(&a, c, "mail.example.com", NULL) && side_open(&b, server, NULL, NULL);
  if (made) {
    lm_wire_put(&a.wire, LM_STR("secret"));
    converse(&a, &b, 1 << 20);
    well = heard(&b, "secret") && lm_tls_is_open(a.tls);
    fail_never();
    CHECK(well || lm_wire_failed(&a.wire) || lm_wire_failed(&b.wire));
  }
  fail_never();
  if (a.link.wire) side_free(&a);
  if (b.link.wire) side_free(&b);
  lm_tls_context_free(c);
  lm_buf_free(&why);
  return well;
}

int main(void) {
  static const struct wish root_wish = {"Test Root", NULL, NULL, -1, 30, true};
  static const struct wish good_wish = {"mail", "DNS:mail.example.com", NULL, -1, 30, false};
  struct lm_tls_options o;
  long n, well = 0;
  CRYPTO_set_mem_functions(ssl_malloc, ssl_realloc, ssl_free);
  root = identity(&root_wish, NULL);
  good = identity(&good_wish, &root);
  o = server_options(&good);
  server = context(&o);
  CHECK(live(-1, false));
  for (n = 0; well < 20; n += n < 200 ? 1 : 7) {
    CHECK(n < 100000);
    well = live(n, n % 3 == 0) ? well + 1 : 0;
  }
  lm_tls_context_free(server);
  forget(&root);
  forget(&good);
  return check_end();
}
