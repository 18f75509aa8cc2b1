/* GMime over each message of a corpus, as ours/message.lua reads them: the tree, and each header field of
** the message; how=decoded all contents as well, text as UTF-8.
**
**   message_gmime corpus=FILE how=structure|decoded
*/
#include <gmime/gmime.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static size_t octets, header_octets, decoded;

static void decode(GMimeObject *parent, GMimeObject *part, gpointer data) {
  (void)parent;
  (void)data;
  if (GMIME_IS_TEXT_PART(part)) {
    char *text = g_mime_text_part_get_text((GMimeTextPart *)part);
    if (text) decoded += strlen(text);
    g_free(text);
  } else if (GMIME_IS_PART(part)) {
    GMimeDataWrapper *content = g_mime_part_get_content((GMimePart *)part);
    GMimeStream *out = g_mime_stream_mem_new();
    if (content) decoded += (size_t)g_mime_data_wrapper_write_to_stream(content, out);
    g_object_unref(out);
  }
}

static void read_header(GMimeMessage *message) {
  GMimeHeaderList *list = g_mime_object_get_header_list((GMimeObject *)message);
  int i, n = g_mime_header_list_get_count(list);
  for (i = 0; i < n; i++) {
    GMimeHeader *header = g_mime_header_list_get_header_at(list, i);
    header_octets +=
        strlen(g_mime_header_get_name(header)) + strlen(g_mime_header_get_value(header));
  }
}

static void read_one(const struct bench_mail *m, bool all) {
  GMimeStream *in = g_mime_stream_mem_new_with_buffer(m->p, m->n);
  GMimeParser *parser = g_mime_parser_new_with_stream(in);
  GMimeMessage *message = g_mime_parser_construct_message(parser, NULL);
  read_header(message);
  if (all) g_mime_message_foreach(message, decode, NULL);
  g_object_unref(message);
  g_object_unref(parser);
  g_object_unref(in);
}

int main(int argc, char **argv) {
  static struct bench_mail list[BENCH_BATCH];
  bool all = strcmp(bench_option(argv, "how", "decoded"), "decoded") == 0;
  FILE *corpus = fopen(bench_option(argv, "corpus", ""), "rb");
  size_t count = 0, n, i;
  char extra[96];
  (void)argc;
  g_mime_init();
  while ((n = bench_mails(corpus, list, BENCH_BATCH)) > 0) {
    bench_begin();
    for (i = 0; i < n; i++) read_one(&list[i], all);
    bench_pause();
    for (i = 0; i < n; i++) octets += list[i].n;
    count += n;
  }
  bench_begin();
  snprintf(extra, sizeof extra, "octets=%zu header=%zu decoded=%zu", octets, header_octets,
           decoded);
  bench_end(count, extra);
  return 0;
}
