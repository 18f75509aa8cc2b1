/*
** value.c: the tree of parsed values.
**
** While a list is open its `next` points at the list around it: that is the explicit stack.
*/
#include "imap/value.h"

#include <string.h>

#include "imap/frame.h"
#include "imap/scan.h"

static inline void append(struct lm_imap_value *list, struct lm_imap_value *v) {
  if (list->u.list.last) {
    list->u.list.last->next = v;
  } else {
    list->u.list.first = v;
  }
  list->u.list.last = v;
  list->count++;
}

static struct lm_imap_value *node(struct lm_cursor *c) {
  struct lm_imap_value *v = lm_arena_alloc(c->arena, sizeof *v);
  if (v) {
    v->next = NULL;
    v->key = LM_NOSTR;
  } else {
    lm_cursor_fail(c, LM_E_MEMORY, "room for a value");
  }
  return v;
}

/* Nodes of one tree, taken from the arena several at a time. */
struct pool {
  struct lm_imap_value *p;
  size_t n;
};

enum { POOL = 16, QUICK_DIGITS = 18 };

static inline struct lm_imap_value *from_pool(struct lm_cursor *c, struct pool *pool) {
  struct lm_imap_value *v;
  if (pool->n == 0) {
    pool->p = lm_arena_alloc(c->arena, POOL * sizeof *pool->p);
    if (pool->p == NULL) {
      lm_cursor_fail(c, LM_E_MEMORY, "room for a value");
      return NULL;
    }
    pool->n = POOL;
  }
  pool->n--;
  v = pool->p++;
  v->next = NULL;
  v->key = LM_NOSTR;
  return v;
}

static inline void open_list(struct lm_imap_value *v, enum lm_imap_kind kind) {
  v->kind = kind;
  v->count = 0;
  v->u.list.first = v->u.list.last = NULL;
}

/* An atom, or a number where it is all digits, without a leading zero, and fits. */
static bool word(struct lm_cursor *c, struct lm_imap_value *v) {
  const char *from = c->p;
  uint64_t n = 0;
  bool number = true;
  struct lm_str w = lm_imap_word(c);
  size_t i;
  if (w.n == 0) return lm_cursor_fail(c, LM_E_PROTOCOL, "value");
  if (w.n > 1 && *from == '0') number = false;
  for (i = 0; i < w.n && number; i++) {
    unsigned digit = (unsigned)(unsigned char)from[i] - '0';
    number = digit <= 9 && n <= ((uint64_t)INT64_MAX - digit) / 10;
    if (number) n = n * 10 + digit;
  }
  if (number) {
    v->kind = LM_VALUE_NUMBER;
    v->u.number = n;
  } else {
    v->kind = LM_VALUE_ATOM;
    v->u.text = w;
  }
  return true;
}

static bool scalar(struct lm_cursor *c, struct lm_imap_value *v) {
  int ch = lm_peek(c);
  uint64_t n;
  size_t len;
  if (ch >= '0' && ch <= '9') return word(c, v);
  if (ch == '"' || (ch == '{' && lm_imap_announced(lm_rest(c), &n, &len)) ||
      (ch == '~' && c->p + 1 < c->end && c->p[1] == '{')) {
    v->kind = LM_VALUE_STRING;
    return lm_imap_string(c, &v->u.text);
  }
  if ((ch == 'N' || ch == 'n') && lm_imap_nil(c)) {
    v->kind = LM_VALUE_NIL;
    return true;
  }
  return word(c, v);
}

/* Closes the innermost list; the one around it. */
static inline struct lm_imap_value *close_list(struct lm_imap_value *list) {
  struct lm_imap_value *around = list->next;
  list->next = NULL;
  if (around) append(around, list);
  return around;
}

/* A number of few digits before a space or a parenthesis. */
static inline bool quick_number(struct lm_cursor *c, struct lm_imap_value *v) {
  const char *p = c->p;
  const char *end = c->end - p > QUICK_DIGITS ? p + QUICK_DIGITS : c->end;
  uint64_t n = 0;
  if (*p == '0') return false;
  for (; p < end && lm_is(*p, LM_DIGIT); p++) n = n * 10 + (uint64_t)(*p - '0');
  if (p == end || (*p != ' ' && *p != ')')) return false;
  c->p = p;
  v->kind = LM_VALUE_NUMBER;
  v->u.number = n;
  return true;
}

/* The simplest of scalars, in line: nearly all that a body structure holds. */
static inline bool quick_scalar(struct lm_cursor *c, struct lm_imap_value *v) {
  if (*c->p == '"') {
    v->kind = LM_VALUE_STRING;
    return lm_imap_short_quoted(c, &v->u.text);
  }
  v->kind = LM_VALUE_NIL;
  return lm_imap_plain_nil(c) || quick_number(c, v);
}

/* The body of an open list, down to its ")", with all lists in it. */
static bool fill(struct lm_cursor *c, struct lm_imap_value *root) {
  struct lm_imap_value *list = root;
  struct pool pool = {NULL, 0};
  size_t depth = 1;
  root->next = NULL;
  while (list) {
    struct lm_imap_value *v;
    int ch = lm_peek(c);
    if (ch == ' ') {
      c->p++;
      continue;
    }
    if (ch == ')') {
      c->p++;
      list = close_list(list);
      depth--;
      continue;
    }
    if ((v = from_pool(c, &pool)) == NULL) return false;
    if (ch == '(') {
      c->p++;
      if (depth++ >= c->limits->depth) return lm_cursor_fail(c, LM_E_LIMIT, "depth");
      open_list(v, LM_VALUE_LIST);
      v->next = list;
      list = v;
      continue;
    }
    if (ch < 0 || (!quick_scalar(c, v) && !scalar(c, v))) {
      return lm_cursor_fail(c, LM_E_PROTOCOL, "value, or end of list");
    }
    append(list, v);
    lm_accept(c, ' ');
  }
  return true;
}

bool lm_imap_value(struct lm_cursor *c, struct lm_imap_value *out) {
  if (!lm_accept(c, '(')) return scalar(c, out);
  open_list(out, LM_VALUE_LIST);
  return fill(c, out);
}

static bool sequence(struct lm_cursor *c, struct lm_imap_value *out) {
  open_list(out, LM_VALUE_LIST);
  while (!lm_imap_at_end(c)) {
    struct lm_imap_value *v = lm_imap_child(c, out, LM_NOSTR);
    if (v == NULL || !lm_imap_value(c, v)) return false;
    while (lm_accept(c, ' ')) continue;
  }
  return true;
}

bool lm_imap_values(struct lm_cursor *c, struct lm_imap_value *out) {
  const char *from;
  size_t n;
  while (lm_accept(c, ' ')) continue;
  from = c->p;
  if (sequence(c, out)) return true;
  if (!lm_imap_back(c, from)) return false;
  n = (size_t)(c->end - from);
  while (n && (from[n - 1] == '\n' || from[n - 1] == '\r')) n--;
  out->kind = LM_VALUE_STRING;
  out->u.text = (struct lm_str){from, n};
  c->p = c->end;
  return true;
}

/* Flags and attributes of the standards, in their own spelling: names are the same in any case. */
static struct lm_str canonical(struct lm_str flag) {
  static const struct lm_str known[] = {
      LM_NAME("\\Seen"),        LM_NAME("\\Answered"),      LM_NAME("\\Flagged"),
      LM_NAME("\\Deleted"),     LM_NAME("\\Draft"),         LM_NAME("\\Recent"),
      LM_NAME("\\HasChildren"), LM_NAME("\\HasNoChildren"), LM_NAME("\\Noselect"),
      LM_NAME("\\Noinferiors"), LM_NAME("\\NonExistent"),   LM_NAME("\\Subscribed"),
      LM_NAME("\\Marked"),      LM_NAME("\\Unmarked"),      LM_NAME("\\Remote"),
      LM_NAME("\\All"),         LM_NAME("\\Archive"),       LM_NAME("\\Drafts"),
      LM_NAME("\\Important"),   LM_NAME("\\Junk"),          LM_NAME("\\Sent"),
      LM_NAME("\\Trash"),
  };
  size_t i;
  if (flag.n == 0 || flag.p[0] != '\\') return flag;
  for (i = 0; i < sizeof known / sizeof *known; i++) {
    if (known[i].n == flag.n && ((known[i].p[1] ^ flag.p[1]) & ~32) == 0 &&
        lm_str_ieq(known[i], flag)) {
      return known[i];
    }
  }
  return flag;
}

bool lm_imap_flags(struct lm_cursor *c, struct lm_imap_value *out) {
  open_list(out, LM_VALUE_SET);
  if (!lm_expect(c, '(', "list of flags")) return false;
  for (;;) {
    struct lm_str flag;
    while (lm_accept(c, ' ')) continue;
    if (lm_accept(c, ')')) return true;
    if (!lm_imap_flag(c, &flag)) return false;
    if (!lm_imap_add_text(c, out, LM_NOSTR, canonical(flag))) return false;
  }
}

/* --- building --------------------------------------------------------------------------------- */

struct lm_imap_value *lm_imap_child(struct lm_cursor *c, struct lm_imap_value *list,
                                    struct lm_str key) {
  struct lm_imap_value *v = node(c);
  if (v == NULL) return NULL;
  v->kind = LM_VALUE_NIL;
  v->key = key;
  append(list, v);
  return v;
}

bool lm_imap_add_text(struct lm_cursor *c, struct lm_imap_value *list, struct lm_str key,
                      struct lm_str text) {
  struct lm_imap_value *v = lm_imap_child(c, list, key);
  if (v == NULL) return false;
  v->kind = LM_VALUE_STRING;
  v->u.text = text;
  return true;
}

bool lm_imap_add_number(struct lm_cursor *c, struct lm_imap_value *list, struct lm_str key,
                        uint64_t n) {
  struct lm_imap_value *v = lm_imap_child(c, list, key);
  if (v == NULL) return false;
  v->kind = LM_VALUE_NUMBER;
  v->u.number = n;
  return true;
}

bool lm_imap_add_true(struct lm_cursor *c, struct lm_imap_value *list, struct lm_str key) {
  struct lm_imap_value *v = lm_imap_child(c, list, key);
  if (v) v->kind = LM_VALUE_TRUE;
  return v != NULL;
}

const struct lm_imap_value *lm_imap_field(const struct lm_imap_value *list, const char *key) {
  const struct lm_imap_value *v;
  struct lm_str k = {key, strlen(key)};
  for (v = list->u.list.first; v; v = v->next) {
    if (v->key.n && lm_str_ieq(v->key, k)) return v;
  }
  return NULL;
}
