/* GMime over each message of a file, as ours/message.lua reads them.
**
**   message_gmime corpus=FILE how=structure|decoded
*/
#include <gmime/gmime.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum { MESSAGES = 100000 };

struct message {
  char *p;
  size_t n;
};

static size_t load(const char *path, struct message *list, size_t *octets_out) {
  FILE *file = fopen(path, "rb");
  unsigned char size[4];
  size_t count = 0;
  if (file == NULL) bench_die(path);
  while (count < MESSAGES && fread(size, 1, 4, file) == 4) {
    struct message *m = &list[count++];
    m->n = size[0] | (size_t)size[1] << 8 | (size_t)size[2] << 16 | (size_t)size[3] << 24;
    m->p = malloc(m->n + 1);
    if (m->p == NULL || fread(m->p, 1, m->n, file) != m->n) bench_die("corpus");
    *octets_out += m->n;
  }
  fclose(file);
  return count;
}

static void decode(GMimeObject *parent, GMimeObject *part, gpointer data) {
  size_t *octets = data;
  (void)parent;
  if (GMIME_IS_TEXT_PART(part)) {
    char *text = g_mime_text_part_get_text((GMimeTextPart *)part);
    if (text) *octets += strlen(text);
    g_free(text);
  } else if (GMIME_IS_PART(part)) {
    GMimeDataWrapper *content = g_mime_part_get_content((GMimePart *)part);
    GMimeStream *out = g_mime_stream_mem_new();
    if (content) *octets += (size_t)g_mime_data_wrapper_write_to_stream(content, out);
    g_object_unref(out);
  }
}

static void read_one(const struct message *m, bool all, size_t *decoded) {
  GMimeStream *in = g_mime_stream_mem_new_with_buffer(m->p, m->n);
  GMimeParser *parser = g_mime_parser_new_with_stream(in);
  GMimeMessage *message = g_mime_parser_construct_message(parser, NULL);
  if (all) g_mime_message_foreach(message, decode, decoded);
  g_object_unref(message);
  g_object_unref(parser);
  g_object_unref(in);
}

int main(int argc, char **argv) {
  static struct message list[MESSAGES];
  bool all = strcmp(bench_option(argv, "how", "decoded"), "decoded") == 0;
  size_t octets = 0, decoded = 0, count, i;
  char extra[64];
  (void)argc;
  count = load(bench_option(argv, "corpus", ""), list, &octets);
  g_mime_init();
  bench_begin();
  for (i = 0; i < count; i++) read_one(&list[i], all, &decoded);
  snprintf(extra, sizeof extra, "octets=%zu", octets);
  bench_end(count, extra);
  return all && decoded == 0;
}
