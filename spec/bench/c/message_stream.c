/* Our push parser and decoder alone, without Lua: one message of `size` MB in pieces of 64 KB, as
** ours/message_stream.lua feeds them. What it shows is the memory of the whole process.
**
**   message_stream size=MB
*/
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "mime/parser.h"

enum { LINES = 840 };

static const char head[] =
    "From: Ann <ann@example.test>\r\nSubject: big\r\nMIME-Version: 1.0\r\n"
    "Content-Type: multipart/mixed; boundary=\"=_part_1\"\r\n\r\n--=_part_1\r\n"
    "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n";
static const char tail[] = "\r\n--=_part_1--\r\n";
static const char line[] =
    "TWFueSBoYW5kcyBtYWtlIGxpZ2h0IHdvcmsuTWFueSBoYW5kcyBtYWtlIGxpZ2h0IHdvcmsuTWFu\r\n";

static struct lm_parser *parser;
static struct lm_decoder decoder;
static struct lm_buf out;
static size_t decoded, octets;

static void take(const struct lm_mime_event *ev) {
  if (ev->kind == LM_MIME_CONTENT) lm_decoder_init(&decoder, ev->transfer);
  if (ev->kind != LM_MIME_BODY) return;
  lm_buf_clear(&out);
  if (!lm_decoder_put(&decoder, &out, ev->text)) bench_die("memory");
  decoded += lm_buf_len(&out);
}

static void drain(void) {
  struct lm_mime_event ev;
  enum lm_status status;
  while ((status = lm_parser_next(parser, &ev)) == LM_EVENT) take(&ev);
  if (status == LM_FAIL) bench_die("memory");
}

static void put(const char *p, size_t n) {
  if (!lm_parser_feed(parser, (struct lm_str){p, n})) bench_die("memory");
  octets += n;
  drain();
}

int main(int argc, char **argv) {
  static char piece[LINES * (sizeof line - 1)];
  size_t size = bench_number(argv, "size", 1000) * 1000000, i;
  char extra[64];
  (void)argc;
  for (i = 0; i < LINES; i++) memcpy(piece + i * (sizeof line - 1), line, sizeof line - 1);
  bench_begin();
  if ((parser = lm_parser_new(NULL)) == NULL) bench_die("memory");
  put(head, sizeof head - 1);
  while (octets < size) put(piece, sizeof piece);
  put(tail, sizeof tail - 1);
  lm_parser_eof(parser);
  drain();
  snprintf(extra, sizeof extra, "octets=%zu decoded=%zu", octets, decoded);
  bench_end(1, extra);
  lm_parser_free(parser);
  lm_buf_free(&out);
  return decoded < octets / 10 * 7;
}
