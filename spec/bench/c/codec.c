/* Transfer encodings in memory that stays in the caches: ours at each level of vectors, OpenSSL's, and
** GMime's where CODEC_GMIME is defined.
**
**   codec what=base64-decode|base64-encode|qp-decode|qp-encode  by=best|ssse3|plain|openssl|gmime|memcpy  n=MB
**
** The text is 48 KiB of octets, encoded in CRLF lines; what is counted is the octets read. QP text is
** that of a letter in a western language: about one octet in thirty is escaped.
*/
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef CODEC_GMIME
#include <gmime/gmime.h>
#endif

#include "bench.h"
#include "mime/transfer.h"

enum { PLAIN = 48 * 1024 };

struct job {
  const char *what, *by;
  bool decode, qp;
  enum lm_vector level;
  struct lm_str in;
  char *room; /* for those who write into memory of the caller's */
  struct lm_buf out;
};

static struct lm_str plain_text(bool qp) {
  static const char words[] =
      "Sehr geehrte Damen und Herren, anbei der Bericht f\xC3\xBCr das letzte Quartal.\r\n"
      "The figures = those of last year, and the rest of this line is plain text only.\r\n"
      "Mit freundlichen Gr\xC3\xBC\xC3\x9F\x65n aus der Abteilung, die dies hier geschrieben "
      "hat\r\n";
  char *p = malloc(PLAIN);
  unsigned state = 1;
  size_t i;
  if (p == NULL) bench_die("memory");
  for (i = 0; i < PLAIN; i++) {
    state = state * 1103515245u + 12345u;
    p[i] = qp ? words[i % (sizeof words - 1)] : (char)(state >> 16);
  }
  return (struct lm_str){p, PLAIN};
}

static void encode(struct job *j, struct lm_str s) {
  struct lm_encoder e;
  lm_buf_clear(&j->out);
  lm_encoder_init(&e, j->qp ? LM_TRANSFER_QP : LM_TRANSFER_BASE64, true);
  e.level = j->level;
  if (!lm_encoder_put(&e, &j->out, s) || !lm_encoder_end(&e, &j->out)) bench_die("memory");
}

static void decode(struct job *j) {
  struct lm_decoder d;
  lm_buf_clear(&j->out);
  lm_decoder_init(&d, j->qp ? LM_TRANSFER_QP : LM_TRANSFER_BASE64);
  d.level = j->level;
  if (!lm_decoder_put(&d, &j->out, j->in) || !lm_decoder_end(&d, &j->out)) bench_die("memory");
}

static void openssl(struct job *j) {
  EVP_ENCODE_CTX *ctx = EVP_ENCODE_CTX_new();
  unsigned char *to = (unsigned char *)j->room;
  const unsigned char *from = (const unsigned char *)j->in.p;
  int n = 0;
  if (j->decode) {
    EVP_DecodeInit(ctx);
    if (EVP_DecodeUpdate(ctx, to, &n, from, (int)j->in.n) < 0) bench_die("EVP_DecodeUpdate");
    EVP_DecodeFinal(ctx, to + n, &n);
  } else {
    EVP_EncodeInit(ctx);
    EVP_EncodeUpdate(ctx, to, &n, from, (int)j->in.n);
    EVP_EncodeFinal(ctx, to + n, &n);
  }
  EVP_ENCODE_CTX_free(ctx);
}

#ifdef CODEC_GMIME
static void gmime(struct job *j) {
  GMimeEncoding e;
  GMimeContentEncoding how =
      j->qp ? GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE : GMIME_CONTENT_ENCODING_BASE64;
  size_t n;
  if (j->decode)
    g_mime_encoding_init_decode(&e, how);
  else
    g_mime_encoding_init_encode(&e, how);
  n = g_mime_encoding_step(&e, j->in.p, j->in.n, j->room);
  g_mime_encoding_flush(&e, "", 0, j->room + n);
}
#else
static void gmime(struct job *j) {
  (void)j;
  bench_die("built without GMime");
}
#endif

static void turn(struct job *j) {
  if (strcmp(j->by, "openssl") == 0)
    openssl(j);
  else if (strcmp(j->by, "gmime") == 0)
    gmime(j);
  else if (strcmp(j->by, "memcpy") == 0)
    memcpy(j->room, j->in.p, j->in.n);
  else if (j->decode)
    decode(j);
  else
    encode(j, j->in);
}

int main(int argc, char **argv) {
  struct job j = {bench_option(argv, "what", "base64-decode"),
                  bench_option(argv, "by", "best"),
                  false,
                  false,
                  LM_VECTOR_NONE,
                  {NULL, 0},
                  NULL,
                  {NULL, 0, 0, 0}};
  size_t octets = bench_number(argv, "n", 1000) * 1000000, turns, i;
  char extra[64];
  (void)argc;
  j.decode = strstr(j.what, "decode") != NULL;
  j.qp = strstr(j.what, "qp") != NULL;
  j.level = lm_vector_best();
  if (strcmp(j.by, "plain") == 0) j.level = LM_VECTOR_NONE;
  if (strcmp(j.by, "ssse3") == 0 && j.level > LM_VECTOR_SSSE3) j.level = LM_VECTOR_SSSE3;
  j.in = plain_text(j.qp);
  j.room = malloc(PLAIN * 4);
  if (j.room == NULL) bench_die("memory");
  if (j.decode) {
    struct lm_buf text = {NULL, 0, 0, 0};
    encode(&j, j.in);
    text = j.out;
    j.in = lm_buf_str(&text);
    j.out = (struct lm_buf){NULL, 0, 0, 0};
  }
  turns = octets / j.in.n + 1;
  for (i = 0; i < turns / 10 + 1; i++) turn(&j);
  bench_begin();
  for (i = 0; i < turns; i++) turn(&j);
  snprintf(extra, sizeof extra, "octets=%.0f", (double)(turns * j.in.n));
  bench_end(turns, extra);
  return 0;
}
