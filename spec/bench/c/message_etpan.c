/* libetpan over each message of a corpus, as ours/message.lua reads them. It has no call that decodes every
** field; the fields that it knows were parsed with the tree.
**
**   message_etpan corpus=FILE how=structure|decoded
*/
#include <libetpan/libetpan.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static size_t octets, decoded;

static bool is_text(const struct mailmime *part) {
  const struct mailmime_type *type = part->mm_content_type ? part->mm_content_type->ct_type : NULL;
  return type && type->tp_type == MAILMIME_TYPE_DISCRETE_TYPE &&
         type->tp_data.tp_discrete_type->dt_type == MAILMIME_DISCRETE_TYPE_TEXT;
}

static void to_utf8(const struct mailmime *part, const char *text, size_t n) {
  const char *charset = mailmime_content_charset_get(part->mm_content_type);
  char *utf8 = NULL;
  size_t utf8_n = 0;
  if (charset == NULL || charconv_buffer("utf-8", charset, text, n, &utf8, &utf8_n) != 0) {
    decoded += n;
    return;
  }
  decoded += utf8_n;
  charconv_buffer_free(utf8);
}

static void decode_leaf(const struct mailmime *part) {
  const struct mailmime_data *body = part->mm_data.mm_single;
  size_t at = 0, n = 0;
  char *out = NULL;
  if (body == NULL || body->dt_type != MAILMIME_DATA_TEXT) return;
  if (mailmime_part_parse(body->dt_data.dt_text.dt_data, body->dt_data.dt_text.dt_length, &at,
                          body->dt_encoding, &out, &n) != MAILIMF_NO_ERROR)
    return;
  if (is_text(part))
    to_utf8(part, out, n);
  else
    decoded += n;
  mmap_string_unref(out);
}

static void decode(const struct mailmime *part) {
  clistiter *it;
  switch (part->mm_type) {
  case MAILMIME_SINGLE: decode_leaf(part); return;
  case MAILMIME_MESSAGE:
    if (part->mm_data.mm_message.mm_msg_mime) decode(part->mm_data.mm_message.mm_msg_mime);
    return;
  case MAILMIME_MULTIPLE:
    for (it = clist_begin(part->mm_data.mm_multipart.mm_mp_list); it; it = clist_next(it))
      decode(clist_content(it));
    return;
  default: return;
  }
}

static void read_one(const struct bench_mail *m, bool all) {
  struct mailmime *message = NULL;
  size_t at = 0;
  if (mailmime_parse(m->p, m->n, &at, &message) != MAILIMF_NO_ERROR) bench_die("mailmime_parse");
  if (all) decode(message);
  mailmime_free(message);
}

int main(int argc, char **argv) {
  static struct bench_mail list[BENCH_BATCH];
  bool all = strcmp(bench_option(argv, "how", "decoded"), "decoded") == 0;
  FILE *corpus = fopen(bench_option(argv, "corpus", ""), "rb");
  size_t count = 0, n, i;
  char extra[64];
  (void)argc;
  while ((n = bench_mails(corpus, list, BENCH_BATCH)) > 0) {
    bench_begin();
    for (i = 0; i < n; i++) read_one(&list[i], all);
    bench_pause();
    for (i = 0; i < n; i++) octets += list[i].n;
    count += n;
  }
  bench_begin();
  snprintf(extra, sizeof extra, "octets=%zu decoded=%zu", octets, decoded);
  bench_end(count, extra);
  return 0;
}
