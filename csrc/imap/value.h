/*
** value.h: the tree of parsed values that everything without a struct of its own becomes.
**
** Unknown FETCH items, untagged responses and response codes arrive as such trees, so data of an
** extension that we do not know is never an error; known small responses (LIST, STATUS, ESEARCH,
** codes) use the same tree with keys. Nodes live in the arena of the answer and borrow its text.
** Nesting is limited; nothing recurses.
*/
#ifndef LM_IMAP_VALUE_H
#define LM_IMAP_VALUE_H

#include "base/cursor.h"

/* A name as {"UID", 3}: usable in a static table. */
#define LM_NAME(literal)                                                                           \
  { literal, sizeof(literal) - 1 }

enum lm_imap_kind {
  LM_VALUE_NIL,
  LM_VALUE_TRUE,   /* a key without a value */
  LM_VALUE_NUMBER, /* u.number */
  LM_VALUE_ATOM,   /* u.text */
  LM_VALUE_STRING, /* u.text */
  LM_VALUE_LIST,   /* u.list: children in order; those with a key are fields, the others elements */
  LM_VALUE_SET,    /* u.list: children are strings, each a member */
  LM_VALUE_NUMBERS, /* u.numbers: an array; without a key in a list, each is an element of that */
  LM_VALUE_TREE /* u.numbers: pairs of a level (0 at the top) and a number (0: none), parents first */
};

struct lm_imap_value {
  enum lm_imap_kind kind;
  uint32_t count; /* children of a list or set */
  struct lm_imap_value *next;
  struct lm_str key; /* name of a field; p is NULL for an element */
  union {
    uint64_t number;
    struct lm_str text;
    struct {
      struct lm_imap_value *first, *last;
    } list;
    struct {
      const uint32_t *p;
      size_t n;
    } numbers;
  } u;
};

/* One value: nil, number, atom, string or list with all that is in it. Any run of bytes that is not
** a string, a parenthesis or a space passes for an atom. */
bool lm_imap_value(struct lm_cursor *c, struct lm_imap_value *out);

/* All values up to the end of the line, as one list. What is no sequence of values becomes one
** string: the rest of the line. */
bool lm_imap_values(struct lm_cursor *c, struct lm_imap_value *out);

/* "(" [member *(SP member)] ")" as a set of flags. */
bool lm_imap_flags(struct lm_cursor *c, struct lm_imap_value *out);

/* --- building --------------------------------------------------------------------------------- */

/* A new child of `list`, cleared; NULL when memory is short (the cursor has failed). `key` may be
** LM_NOSTR. */
struct lm_imap_value *lm_imap_child(struct lm_cursor *c, struct lm_imap_value *list,
                                    struct lm_str key);

/* Children that hold a text, a number, or nothing but their key. */
bool lm_imap_add_text(struct lm_cursor *c, struct lm_imap_value *list, struct lm_str key,
                      struct lm_str text);
bool lm_imap_add_number(struct lm_cursor *c, struct lm_imap_value *list, struct lm_str key,
                        uint64_t n);
bool lm_imap_add_true(struct lm_cursor *c, struct lm_imap_value *list, struct lm_str key);

/* --- reading ---------------------------------------------------------------------------------- */

static inline bool lm_imap_has_children(const struct lm_imap_value *v) {
  return v->kind == LM_VALUE_LIST || v->kind == LM_VALUE_SET;
}

/* The field `key` of a list, or NULL. */
const struct lm_imap_value *lm_imap_field(const struct lm_imap_value *list, const char *key);

/* The text of an atom or string, or LM_NOSTR. */
static inline struct lm_str lm_imap_text(const struct lm_imap_value *v) {
  bool text = v && (v->kind == LM_VALUE_ATOM || v->kind == LM_VALUE_STRING);
  return text ? v->u.text : LM_NOSTR;
}

#endif
