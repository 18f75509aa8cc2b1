/*
** ext_thread.c: the answer to THREAD (RFC 5256 §4): who answered whom.
**
** A message is a pair of its level and its number, parents first: no tree is built here, and no
** depth of nesting costs more than its brackets. What stands between brackets without a number of
** its own ("((3)(5))") is a parent that is not in the mailbox: number 0.
*/
#include "imap/ext.h"
#include "imap/scan.h"

/* What is known while the lists are read. */
struct threads {
  uint32_t *pairs;
  size_t n;        /* numbers in `pairs` */
  uint32_t *outer; /* the levels of the lists around */
  size_t depth;    /* how many those are */
  uint32_t level;  /* of the next message */
};

/* Brackets and spaces of the rest of the line: no more messages, and parents that are missing. */
static size_t room_for(const struct lm_cursor *c, size_t *brackets_out) {
  const char *p;
  size_t n = 0;
  *brackets_out = 0;
  for (p = c->p; p < c->end; p++) {
    n += *p == ' ' || *p == '(';
    *brackets_out += *p == '(';
  }
  return n + *brackets_out;
}

static void add(struct threads *t, uint32_t number) {
  t->pairs[t->n++] = t->level++;
  t->pairs[t->n++] = number;
}

static bool open_list(struct lm_cursor *c, struct threads *t, bool nested) {
  if (nested) add(t, 0);
  if (t->depth == LM_THREAD_DEPTH) return lm_cursor_fail(c, LM_E_LIMIT, "thread depth");
  t->outer[t->depth++] = t->level;
  return true;
}

/* thread-list    = "(" (thread-members / thread-nested) ")"
** thread-members = nz-number *(SP nz-number) [SP thread-nested]
** thread-nested  = 2*thread-list */
static bool lists(struct lm_cursor *c, struct threads *t) {
  bool opened = false; /* the last thing was "(" */
  while (!lm_imap_at_end(c)) {
    uint32_t number;
    if (lm_accept(c, ' ')) continue;
    if (lm_accept(c, '(')) {
      if (!open_list(c, t, opened)) return false;
      opened = true;
    } else if (t->depth && lm_accept(c, ')')) {
      t->level = t->outer[--t->depth];
      opened = false;
    } else {
      if (t->depth == 0) return lm_cursor_fail(c, LM_E_PROTOCOL, "list of threads");
      if (!lm_take_u32(c, &number)) return false;
      add(t, number);
      opened = false;
    }
  }
  return t->depth == 0 || lm_cursor_fail(c, LM_E_PROTOCOL, "end of a thread");
}

/* thread-data = "THREAD" [SP 1*thread-list] */
static bool data_thread(struct lm_cursor *c, const struct lm_imap_how *how,
                        struct lm_imap_value *out) {
  struct threads t = {NULL, 0, NULL, 0, 0};
  size_t brackets, pairs = room_for(c, &brackets);
  (void)how;
  if (brackets > LM_THREAD_DEPTH) brackets = LM_THREAD_DEPTH;
  t.pairs = lm_arena_alloc(c->arena, (2 * pairs + 1) * sizeof *t.pairs);
  t.outer = lm_arena_alloc(c->arena, (brackets + 1) * sizeof *t.outer);
  if (t.pairs == NULL || t.outer == NULL) {
    return lm_cursor_fail(c, LM_E_MEMORY, "room for threads");
  }
  if (!lists(c, &t)) return false;
  out->kind = LM_VALUE_TREE;
  out->u.numbers.p = t.pairs;
  out->u.numbers.n = t.n;
  return true;
}

static const struct lm_imap_data data[] = {
    {LM_NAME("THREAD"), LM_IMAP_G_SEARCH, data_thread},
    {{NULL, 0}, LM_IMAP_G_OTHER, NULL},
};

const struct lm_imap_ext lm_imap_ext_thread = {"THREAD", NULL, data, NULL};
