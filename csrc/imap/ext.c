/*
** ext.c: the list of records, and look-up by name.
**
** The names of one response are few and short: a walk that compares lengths first is quicker than
** hashing.
*/
#include "imap/ext.h"

#include <string.h>

#include "imap/scan.h"
#include "imap/seqset.h"
#include "imap/utf7.h"

/* clang-format off */
static const struct lm_imap_ext *const records[] = {
  &lm_imap_ext_base,
  &lm_imap_ext_condstore,
  &lm_imap_ext_uidplus,
  &lm_imap_ext_esearch,
  &lm_imap_ext_objectid,
  &lm_imap_ext_binary,
  &lm_imap_ext_gmail,
  &lm_imap_ext_inprogress,
  &lm_imap_ext_messagelimit,
  &lm_imap_ext_catenate,
  &lm_imap_ext_namespace,
  &lm_imap_ext_acl,
  &lm_imap_ext_metadata,
  &lm_imap_ext_quota,
  &lm_imap_ext_codes,
  &lm_imap_ext_thread,
};
/* clang-format on */

enum { RECORDS = sizeof records / sizeof *records };

/* Names are upper case in the records, and mostly on the wire. */
static inline bool same(struct lm_str known, struct lm_str name) {
  if (known.n != name.n || name.n == 0 || ((known.p[0] ^ name.p[0]) & ~32) != 0) return false;
  return memcmp(known.p, name.p, name.n) == 0 || lm_str_ieq(known, name);
}

const struct lm_imap_item *lm_imap_find_item(struct lm_str name) {
  size_t i;
  for (i = 0; i < RECORDS; i++) {
    const struct lm_imap_item *item = records[i]->items;
    for (; item && item->name.n; item++) {
      if (same(item->name, name)) return item;
    }
  }
  return NULL;
}

const struct lm_imap_item *lm_imap_match_item(struct lm_str text) {
  const struct lm_imap_item *item = lm_imap_ext_base.items;
  for (; item->name.n; item++) {
    size_t n = item->name.n;
    if (item->name.p[0] == text.p[0] && n < text.n && (text.p[n] == ' ' || text.p[n] == '[') &&
        memcmp(item->name.p, text.p, n) == 0) {
      return item;
    }
  }
  return NULL;
}

const struct lm_imap_data *lm_imap_find_data(struct lm_str name) {
  size_t i;
  for (i = 0; i < RECORDS; i++) {
    const struct lm_imap_data *data = records[i]->data;
    for (; data && data->name.n; data++) {
      if (same(data->name, name)) return data;
    }
  }
  return NULL;
}

const struct lm_imap_code *lm_imap_find_code(struct lm_str name) {
  size_t i;
  for (i = 0; i < RECORDS; i++) {
    const struct lm_imap_code *code = records[i]->codes;
    for (; code && code->name.n; code++) {
      if (same(code->name, name)) return code;
    }
  }
  return NULL;
}

/* --- readings that several records share -------------------------------------------------------- */

void lm_imap_make_list(struct lm_imap_value *out) {
  out->kind = LM_VALUE_LIST;
  out->count = 0;
  out->u.list.first = out->u.list.last = NULL;
}

bool lm_imap_number_value(struct lm_cursor *c, struct lm_imap_value *out) {
  out->kind = LM_VALUE_NUMBER;
  return lm_take_u64(c, &out->u.number);
}

bool lm_imap_set_value(struct lm_cursor *c, struct lm_imap_value *out) {
  out->kind = LM_VALUE_STRING;
  out->u.text = lm_imap_word(c);
  if (out->u.text.n && out->u.text.p[out->u.text.n - 1] == ']') {
    out->u.text.n--;
    c->p--;
  }
  return lm_seqset_valid(out->u.text) || lm_cursor_fail(c, LM_E_PROTOCOL, "sequence-set");
}

bool lm_imap_from_utf7(struct lm_cursor *c, struct lm_str *name) {
  struct lm_buf b = {NULL, 0, 0, 0};
  struct lm_str copy;
  enum lm_utf7 got;
  size_t i;
  for (i = 0; i < name->n && name->p[i] != '&'; i++) continue;
  if (i == name->n) return true;
  got = lm_utf7_decode(&b, *name);
  if (got == LM_UTF7_OK) {
    copy = lm_arena_copy(c->arena, lm_buf_str(&b));
    if (copy.p) *name = copy;
    if (copy.p == NULL) got = LM_UTF7_MEMORY;
  }
  lm_buf_free(&b);
  return got != LM_UTF7_MEMORY || lm_cursor_fail(c, LM_E_MEMORY, "room for a mailbox name");
}

bool lm_imap_to_utf8(struct lm_cursor *c, const struct lm_imap_how *how, struct lm_str *name) {
  return how->utf8 || lm_imap_from_utf7(c, name);
}

/* A name that should have been quoted: all up to `stop` or the line end, without trailing spaces.
** spec/wire/imap/quirk-mailbox-unquoted.wire */
static struct lm_str bare_name(struct lm_cursor *c, char stop) {
  const char *from = c->p, *end;
  while (c->p < c->end && *c->p != stop && *c->p != '\r' && *c->p != '\n') c->p++;
  for (end = c->p; end > from && end[-1] == ' ';) end--;
  return (struct lm_str){from, (size_t)(end - from)};
}

bool lm_imap_mailbox(struct lm_cursor *c, const struct lm_imap_how *how, char stop,
                     struct lm_str *out) {
  int ch = lm_peek(c);
  if (ch == '"' || ch == '{' || ch == '~') {
    if (!lm_imap_string(c, out)) return false;
  } else {
    *out = bare_name(c, stop);
    if (out->n == 0) return lm_cursor_fail(c, LM_E_PROTOCOL, "mailbox");
  }
  return lm_imap_to_utf8(c, how, out);
}

bool lm_imap_word_mailbox(struct lm_cursor *c, const struct lm_imap_how *how, struct lm_str *out) {
  return lm_imap_mailbox(c, how, ' ', out);
}
