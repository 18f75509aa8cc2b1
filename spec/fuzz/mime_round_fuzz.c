/*
** mime_round_fuzz.c: any text as a message, written anew from what was read of it, and read again.
**
** What is written is well-formed: no defect of structure, one part for each leaf, the same fields, parameters
** and contents.
*/
#include <stdlib.h>
#include <string.h>

#include "base/chars.h"
#include "mime/charset.h"
#include "mime/content.h"
#include "mime/fold.h"
#include "mime/params.h"
#include "mime/tree.h"
#include "mime/word2047.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { LEAVES = 20, FIELDS = 20, PARAMS = 10, VALUE = 900 };

static void must(bool ok) {
  if (!ok) abort();
}

/* One leaf as it was read: what has to be the same in the end. */
struct leaf {
  struct lm_media media;
  struct lm_params params;
  struct lm_buf content;
};

struct message {
  struct lm_arena arena;
  struct lm_str names[FIELDS];
  struct lm_str values[FIELDS];
  size_t fields;
  struct leaf leaves[LEAVES];
  size_t count;
};

static struct lm_str trimmed(struct lm_str s) {
  while (s.n && (lm_is(s.p[0], LM_SPACE) || s.p[0] == '\r' || s.p[0] == '\n'))
    s = (struct lm_str){s.p + 1, s.n - 1};
  while (s.n && (lm_is(s.p[s.n - 1], LM_SPACE) || s.p[s.n - 1] == '\r' || s.p[s.n - 1] == '\n'))
    s.n--;
  return s;
}

static bool is_token(struct lm_str s) {
  size_t i;
  for (i = 0; i < s.n; i++) {
    if (!lm_is(s.p[i], LM_MIME_TOKEN) || s.p[i] == '*') return false;
  }
  return s.n > 0 && s.n <= 40;
}

/* --- reading ------------------------------------------------------------------------------------ */

/* The fields that can be written: those of the content are the composer's. */
static void read_fields(struct message *m, struct lm_str head) {
  struct lm_header_walk w = lm_header_walk(head);
  struct lm_header_field f;
  while (m->fields < FIELDS && lm_header_next(&w, &f)) {
    struct lm_str value;
    if (lm_str_istarts(f.name, LM_STR("Content-")) || f.name.n > 40) continue;
    must(lm_word2047_decode(&m->arena, trimmed(f.value), &value));
    if (value.n > VALUE || lm_fold_refusal(f.name, value)) continue;
    m->names[m->fields] = f.name;
    m->values[m->fields++] = value;
  }
}

static void read_leaf(struct message *m, struct lm_str text, const struct lm_part *part) {
  struct leaf *leaf = &m->leaves[m->count++];
  struct lm_buf room = {NULL, 0, 0, 0};
  struct lm_str raw = {text.p + part->body, part->end - part->body}, out;
  size_t defects;
  lm_tree_media(part, &leaf->media);
  must(lm_params_read(&m->arena, part->type, 100, &leaf->params));
  must(lm_content_decode(part->transfer, raw, &room, &out, &defects));
  must(lm_buf_put(&leaf->content, out.p, out.n));
  lm_buf_free(&room);
}

static void read_message(struct message *m, struct lm_str text) {
  struct lm_tree t;
  size_t i;
  memset(m, 0, sizeof *m);
  must(lm_tree_read(&t, text, NULL));
  read_fields(m, (struct lm_str){text.p, t.parts[0].body});
  for (i = 0; i < t.count && m->count < LEAVES; i++) {
    if (t.parts[i].first == LM_NO_PART) read_leaf(m, text, &t.parts[i]);
  }
  lm_tree_free(&t);
}

static void free_message(struct message *m) {
  size_t i;
  for (i = 0; i < m->count; i++) lm_buf_free(&m->leaves[i].content);
  lm_arena_free(&m->arena);
}

/* --- writing ------------------------------------------------------------------------------------ */

static void put(struct lm_buf *out, struct lm_str s) {
  must(lm_buf_put(out, s.p, s.n));
}

static bool is_written(const struct lm_param *param, size_t i) {
  return i < PARAMS && is_token(param->name) && param->value.n <= VALUE;
}

/* A type that is no multipart and no message, since those would be opened. */
static struct lm_str type_of(struct lm_arena *a, const struct leaf *leaf) {
  char *p = lm_arena_alloc(a, leaf->media.type.n + leaf->media.subtype.n + 1);
  must(p != NULL);
  if (LM_IS(leaf->media.type, "multipart") || LM_IS(leaf->media.type, "message"))
    return LM_STR("application/octet-stream");
  memcpy(p, leaf->media.type.p, leaf->media.type.n);
  p[leaf->media.type.n] = '/';
  memcpy(p + leaf->media.type.n + 1, leaf->media.subtype.p, leaf->media.subtype.n);
  return (struct lm_str){p, leaf->media.type.n + leaf->media.subtype.n + 1};
}

static void write_leaf(struct message *m, const struct leaf *leaf, enum lm_transfer how,
                       struct lm_buf *out) {
  const struct lm_param *param;
  struct lm_encoder e;
  struct lm_fold f;
  size_t i = 0;
  must(lm_fold_begin(&f, out, LM_STR("Content-Type"), false) &&
       lm_fold_tokens(&f, type_of(&m->arena, leaf)));
  for (param = leaf->params.first; param; param = param->next) {
    if (is_written(param, i++)) must(lm_fold_param(&f, param->name, param->value));
  }
  must(lm_fold_end(&f));
  put(out, LM_STR("Content-Transfer-Encoding: "));
  put(out,
      how == LM_TRANSFER_BASE64 ? LM_STR("base64\r\n\r\n") : LM_STR("quoted-printable\r\n\r\n"));
  lm_encoder_init(&e, how, false);
  must(lm_encoder_put(&e, out, lm_buf_str(&leaf->content)) && lm_encoder_end(&e, out));
}

static void write_message(struct message *m, unsigned how, struct lm_buf *out) {
  static const struct lm_str boundary = {"=_round", 7};
  struct lm_fold f;
  size_t i;
  for (i = 0; i < m->fields; i++) {
    must(lm_fold_begin(&f, out, m->names[i], (how & 1) != 0) && lm_fold_text(&f, m->values[i]) &&
         lm_fold_end(&f));
  }
  must(lm_fold_begin(&f, out, LM_STR("Content-Type"), false) &&
       lm_fold_tokens(&f, LM_STR("multipart/mixed")) &&
       lm_fold_param(&f, LM_STR("boundary"), boundary) && lm_fold_end(&f));
  for (i = 0; i < m->count; i++) {
    put(out, LM_STR("\r\n--=_round\r\n"));
    write_leaf(m, &m->leaves[i], how >> i & 2 ? LM_TRANSFER_BASE64 : LM_TRANSFER_QP, out);
  }
  put(out, LM_STR("\r\n--=_round--\r\n"));
}

/* --- comparing ---------------------------------------------------------------------------------- */

static void same_leaf(const struct leaf *a, const struct leaf *b) {
  const struct lm_param *param;
  struct lm_str x = lm_buf_str(&a->content), y = lm_buf_str(&b->content);
  size_t i = 0;
  must(x.n == y.n && (x.n == 0 || memcmp(x.p, y.p, x.n) == 0));
  for (param = a->params.first; param; param = param->next) {
    if (is_written(param, i++))
      must(lm_str_eq(lm_params_get(&b->params, param->name), param->value));
  }
}

static void check_again(const struct message *m, struct lm_str text) {
  struct message again;
  struct lm_tree t;
  size_t i;
  must(lm_tree_read(&t, text, NULL));
  must(t.defects_all == 0 && t.count == m->count + 1);
  lm_tree_free(&t);
  read_message(&again, text);
  must(again.fields == m->fields && again.count == m->count);
  for (i = 0; i < m->fields; i++) {
    must(lm_str_eq(again.names[i], m->names[i]) && lm_str_eq(again.values[i], m->values[i]));
  }
  for (i = 0; i < m->count; i++) same_leaf(&m->leaves[i], &again.leaves[i]);
  free_message(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  struct lm_buf out = {NULL, 0, 0, 0};
  struct message m;
  if (n == 0) return 0;
  read_message(&m, (struct lm_str){(const char *)data + 1, n - 1});
  write_message(&m, data[0], &out);
  check_again(&m, lm_buf_str(&out));
  free_message(&m);
  lm_buf_free(&out);
  return 0;
}
