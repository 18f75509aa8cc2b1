/*
** mime_parser_fuzz.c: any text as a message, whole and in pieces.
**
** What holds for all input: the events are the same for every cut, content apart, which is the same when
** put together; parts nest; offsets rise and lie in the message; the tree holds the same parts. The first
** octet cuts the rest and chooses small limits or none, so that limits are met in pieces, too.
*/
#include <stdlib.h>
#include <string.h>

#include "mime/parser.h"
#include "mime/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool ok) {
  if (!ok) abort();
}

static void put(struct lm_buf *b, const void *p, size_t n) {
  must(lm_buf_put(b, p, n));
}

/* One line an event; content in a row is one event. */
static void note(struct lm_buf *log, const struct lm_mime_event *ev, int *open_content) {
  uint64_t numbers[4] = {(uint64_t)ev->kind, ev->offset, ev->depth, ev->end};
  bool content = ev->kind >= LM_MIME_BODY && ev->kind <= LM_MIME_EPILOGUE;
  if (content) {
    must(ev->text.n > 0);
    if (*open_content != (int)ev->kind) put(log, numbers, sizeof numbers);
    *open_content = (int)ev->kind;
    put(log, ev->text.p, ev->text.n);
    return;
  }
  *open_content = -1;
  numbers[3] += (uint64_t)ev->shape * 8 + (uint64_t)ev->transfer;
  put(log, numbers, sizeof numbers);
  if (ev->kind == LM_MIME_FIELD) {
    put(log, ev->field.name.p, ev->field.name.n);
    put(log, ":", 1);
    put(log, ev->field.value.p, ev->field.value.n);
  }
  if (ev->kind == LM_MIME_DEFECT) put(log, ev->why, strlen(ev->why));
}

/* The log of a run in pieces of `size` octets. */
static void run(const struct lm_mime_limits *limits, struct lm_str text, size_t size,
                struct lm_buf *log, size_t *parts) {
  struct lm_parser *p = lm_parser_new(limits);
  struct lm_mime_event ev;
  int open_content = -1;
  size_t at = 0;
  must(p != NULL);
  for (;;) {
    size_t piece = text.n - at < size ? text.n - at : size;
    must(lm_parser_feed(p, (struct lm_str){text.p + at, piece}));
    at += piece;
    if (at == text.n) lm_parser_eof(p);
    while (lm_parser_next(p, &ev) == LM_EVENT) {
      must(ev.offset <= text.n);
      *parts += ev.kind == LM_MIME_PART;
      note(log, &ev, &open_content);
    }
    if (at == text.n) break;
  }
  lm_parser_free(p);
}

static void check_tree(const struct lm_mime_limits *limits, struct lm_str text, size_t parts) {
  struct lm_tree t;
  size_t i;
  must(lm_tree_read(&t, text, limits));
  must(t.count == parts && t.count >= 1);
  for (i = 0; i < t.count; i++) {
    const struct lm_part *part = &t.parts[i];
    must(part->start <= part->body && part->body <= part->end && part->end <= text.n);
    must(part->preamble >= part->body && part->preamble <= part->end);
    must(part->epilogue >= part->preamble && part->epilogue <= part->end);
    must(i == 0 ? part->parent == LM_NO_PART : part->parent < i);
    must(lm_tree_behind(&t, part) > part);
  }
  lm_tree_free(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  struct lm_mime_limits small = {
      .depth = 4, .parts = 6, .header = 60, .headers = 150, .line = 40, .parameters = 3};
  const struct lm_mime_limits *limits = NULL;
  struct lm_buf whole = {NULL, 0, 0, 0}, pieces = {NULL, 0, 0, 0};
  size_t parts = 0, parts_in_pieces = 0;
  struct lm_str text;
  if (n == 0) return 0;
  if (data[0] & 0x80) limits = &small;
  text = (struct lm_str){(const char *)data + 1, n - 1};
  run(limits, text, SIZE_MAX, &whole, &parts);
  run(limits, text, (data[0] & 0x7Fu) % 23u + 1u, &pieces, &parts_in_pieces);
  must(parts == parts_in_pieces && lm_buf_len(&whole) == lm_buf_len(&pieces));
  must(memcmp(lm_buf_str(&whole).p, lm_buf_str(&pieces).p, lm_buf_len(&whole)) == 0);
  check_tree(limits, text, parts);
  lm_buf_free(&whole);
  lm_buf_free(&pieces);
  return 0;
}
