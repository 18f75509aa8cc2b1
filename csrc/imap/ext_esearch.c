/*
** ext_esearch.c: answers to SEARCH and SORT: the plain list of numbers (RFC 3501 §7.2.5, RFC 5256)
** with the mod-sequence of RFC 7162 §3.1.5, and ESEARCH (RFC 4731, RFC 9051 §7.3.4) with what
** PARTIAL (RFC 9394), CONTEXT (RFC 5267) and MULTISEARCH (RFC 7377) put into it.
**
** A range is never expanded here: "ALL 1:4294967295" stays a text.
*/
#include "imap/ext.h"
#include "imap/scan.h"

/* How many numbers may follow: one for each space. */
static size_t room_for(const struct lm_cursor *c) {
  const char *p;
  size_t n = 0;
  for (p = c->p; p < c->end && *p != '('; p++) n += *p == ' ';
  return n;
}

/* *(SP nz-number); 0 is no message's and is passed over: spec/wire/imap/quirk-search-zero.wire */
static bool numbers(struct lm_cursor *c, struct lm_imap_value *out) {
  struct lm_imap_value *v = lm_imap_child(c, out, LM_NOSTR);
  size_t n = 0;
  uint32_t *p = v ? lm_arena_alloc(c->arena, (room_for(c) + 1) * sizeof *p) : NULL;
  if (p == NULL) return lm_cursor_fail(c, LM_E_MEMORY, "room for numbers");
  while (!lm_imap_at_end(c)) {
    if (!lm_imap_sp(c)) return false;
    if (lm_peek(c) == '(') break;
    if (!lm_take_u32(c, &p[n])) return false;
    n += p[n] != 0;
  }
  v->kind = LM_VALUE_NUMBERS;
  v->u.numbers.p = p;
  v->u.numbers.n = n;
  return true;
}

/* "SEARCH" *(SP nz-number) [SP "(" "MODSEQ" SP mod-sequence-value ")"] */
static bool data_search(struct lm_cursor *c, const struct lm_imap_how *how,
                        struct lm_imap_value *out) {
  uint64_t modseq = 0;
  (void)how;
  lm_imap_make_list(out);
  if (!numbers(c, out)) return false;
  if (!lm_accept(c, '(')) return true;
  if (!LM_IS(lm_imap_word(c), "MODSEQ")) return lm_cursor_fail(c, LM_E_PROTOCOL, "MODSEQ");
  return lm_imap_sp(c) && lm_take_u64(c, &modseq) && lm_expect(c, ')', "end of MODSEQ") &&
         lm_imap_add_number(c, out, LM_STR("modseq"), modseq);
}

static bool field_set(struct lm_cursor *c, struct lm_imap_value *list, struct lm_str key) {
  struct lm_imap_value *v = lm_imap_child(c, list, key);
  return v && lm_imap_set_value(c, v);
}

/* ret-data-partial = "PARTIAL" SP "(" partial-range SP partial-results ")"; NIL leaves "all" out */
static bool partial(struct lm_cursor *c, struct lm_imap_value *out) {
  struct lm_str range;
  lm_imap_make_list(out);
  if (!lm_expect(c, '(', "range of results")) return false;
  range = lm_imap_word(c);
  if (!lm_imap_add_text(c, out, LM_STR("range"), range) || !lm_imap_sp(c)) return false;
  if (!lm_imap_nil(c) && !field_set(c, out, LM_STR("all"))) return false;
  return lm_expect(c, ')', "end of PARTIAL");
}

/* What is being read, and its field "updates", made once: a response may hold many ADDTO. */
struct esearch {
  struct lm_imap_value *out;
  struct lm_imap_value *updates;
};

static struct lm_imap_value *updates_of(struct lm_cursor *c, struct esearch *e) {
  if (e->updates) return e->updates;
  e->updates = lm_imap_child(c, e->out, LM_STR("updates"));
  if (e->updates) lm_imap_make_list(e->updates);
  return e->updates;
}

/* context-position SP sequence-set *(SP context-position SP sequence-set), each to a list of its
** own: "op", "position", "set"; their order matters (RFC 5267 §4.3.2). */
static bool updates(struct lm_cursor *c, struct esearch *e, struct lm_str op) {
  struct lm_imap_value *all = updates_of(c, e);
  if (all == NULL || !lm_expect(c, '(', "positions and sets")) return false;
  while (!lm_accept(c, ')')) {
    struct lm_imap_value *one = lm_imap_child(c, all, LM_NOSTR);
    uint32_t position = 0;
    if (one == NULL) return false;
    lm_imap_make_list(one);
    if (!lm_take_u32(c, &position) || !lm_imap_sp(c)) return false;
    if (!lm_imap_add_text(c, one, LM_STR("op"), op) ||
        !lm_imap_add_number(c, one, LM_STR("position"), position) ||
        !field_set(c, one, LM_STR("set"))) {
      return false;
    }
    while (lm_accept(c, ' ')) continue;
  }
  return true;
}

/* search-return-data: a name and its value */
static bool return_data(struct lm_cursor *c, struct esearch *e) {
  struct lm_imap_value *v, *out = e->out;
  struct lm_str key;
  if (!lm_imap_atom(c, &key) || !lm_imap_lower(c, key, &key)) return false;
  if (LM_IS(key, "uid")) return lm_imap_add_true(c, out, key);
  if (!lm_imap_sp(c)) return false;
  if (LM_IS(key, "all")) return field_set(c, out, key);
  if (LM_IS(key, "addto")) return updates(c, e, LM_STR("add"));
  if (LM_IS(key, "removefrom")) return updates(c, e, LM_STR("remove"));
  if ((v = lm_imap_child(c, out, key)) == NULL) return false;
  return LM_IS(key, "partial") ? partial(c, v) : lm_imap_value(c, v);
}

/* Where a bare mailbox name ends: at a space, or at the end of the list. */
static char name_end(const struct lm_cursor *c) {
  const char *p = c->p;
  while (p < c->end && *p != ' ' && *p != ')') p++;
  return p < c->end ? *p : ')';
}

/* one-correlator = ("TAG" SP tag-string) / ("MAILBOX" SP astring) / ("UIDVALIDITY" SP nz-number) */
static bool correlator(struct lm_cursor *c, const struct lm_imap_how *how,
                       struct lm_imap_value *out) {
  struct lm_imap_value *v;
  struct lm_str key, text;
  if (!lm_imap_atom(c, &key) || !lm_imap_lower(c, key, &key) || !lm_imap_sp(c)) return false;
  if (LM_IS(key, "tag")) {
    return lm_imap_astring(c, &text) && lm_imap_add_text(c, out, key, text);
  }
  if (LM_IS(key, "mailbox")) {
    return lm_imap_mailbox(c, how, name_end(c), &text) && lm_imap_add_text(c, out, key, text);
  }
  return (v = lm_imap_child(c, out, key)) != NULL && lm_imap_value(c, v);
}

/* search-correlator = SP "(" one-correlator *(SP one-correlator) ")" (RFC 7377 §5) */
static bool correlators(struct lm_cursor *c, const struct lm_imap_how *how,
                        struct lm_imap_value *out) {
  while (!lm_accept(c, ')')) {
    if (!correlator(c, how, out)) return false;
    while (lm_accept(c, ' ')) continue;
  }
  return true;
}

/* "ESEARCH" [search-correlator] [SP "UID"] *(SP search-return-data) */
static bool data_esearch(struct lm_cursor *c, const struct lm_imap_how *how,
                         struct lm_imap_value *out) {
  struct esearch e = {out, NULL};
  lm_imap_make_list(out);
  while (!lm_imap_at_end(c)) {
    if (!lm_imap_sp(c)) return false;
    if (!(lm_accept(c, '(') ? correlators(c, how, out) : return_data(c, &e))) return false;
  }
  return true;
}

static const struct lm_imap_data data[] = {
    {LM_NAME("SEARCH"), LM_IMAP_G_SEARCH, data_search},
    {LM_NAME("SORT"), LM_IMAP_G_SEARCH, data_search},
    {LM_NAME("ESEARCH"), LM_IMAP_G_SEARCH, data_esearch},
    {{NULL, 0}, LM_IMAP_G_OTHER, NULL},
};

/* "NOUPDATE" SP quoted: the tag of the search that will not be kept up to date (RFC 5267 §4.3.1) */
static bool code_noupdate(struct lm_cursor *c, struct lm_imap_value *out) {
  out->kind = LM_VALUE_STRING;
  return lm_imap_string(c, &out->u.text);
}

static const struct lm_imap_code codes[] = {
    {LM_NAME("NOUPDATE"), code_noupdate},
    {{NULL, 0}, NULL},
};

const struct lm_imap_ext lm_imap_ext_esearch = {"ESEARCH", NULL, data, codes};
