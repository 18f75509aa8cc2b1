/*
** bio.c: the BIO between OpenSSL and the filter's outer wire.
**
** Not a memory BIO: what the transport read is handed to OpenSSL from where it lies, and records
** are appended to what the transport will send, so nothing is copied twice. "No more input" is
** always "retry": the filter itself knows about the end of the transport, and an SSL that never
** saw an end can still write.
*/
#include "tls/engine.h"

#include <openssl/bio.h>
#include <string.h>

static int bio_read(BIO *bio, char *p, size_t max, size_t *n_out) {
  struct lm_tls *t = BIO_get_data(bio);
  struct lm_wire *outer = &t->filter.outer;
  struct lm_str in = lm_wire_input(outer);
  BIO_clear_retry_flags(bio);
  if (in.n == 0 || lm_buf_len(&outer->out) > LM_TLS_OUTPUT_STOP) {
    BIO_set_retry_read(bio);
    return 0;
  }
  if (in.n > max) in.n = max;
  memcpy(p, in.p, in.n);
  lm_wire_take(outer, in.n);
  *n_out = in.n;
  return 1;
}

/* Takes everything: how much waits is bounded by the filter. Without memory the outer wire fails,
** and with it the write. */
static int bio_write(BIO *bio, const char *p, size_t n, size_t *n_out) {
  struct lm_tls *t = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  if (!lm_wire_put(&t->filter.outer, (struct lm_str){p, n})) return 0;
  *n_out = n;
  return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *p) {
  (void)bio, (void)number, (void)p;
  return command == BIO_CTRL_FLUSH;
}

bool lm_tls_attach(struct lm_tls *t) {
  BIO *bio;
  t->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "lua-mail wire");
  if (t->method == NULL) return false;
  BIO_meth_set_read_ex(t->method, bio_read);
  BIO_meth_set_write_ex(t->method, bio_write);
  BIO_meth_set_ctrl(t->method, bio_ctrl);
  if ((bio = BIO_new(t->method)) == NULL) return false;
  BIO_set_data(bio, t);
  BIO_set_init(bio, 1);
  SSL_set_bio(t->ssl, bio, bio);
  return true;
}
