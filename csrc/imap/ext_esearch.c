/*
** ext_esearch.c: answers to SEARCH and SORT: the plain list of numbers (RFC 3501 §7.2.5, RFC 5256)
** with the mod-sequence of RFC 7162 §3.1.5, and ESEARCH (RFC 4731, RFC 9051 §7.3.4).
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

static bool numbers(struct lm_cursor *c, struct lm_imap_value *out) {
  struct lm_imap_value *v = lm_imap_child(c, out, LM_NOSTR);
  size_t n = 0;
  uint32_t *p = v ? lm_arena_alloc(c->arena, (room_for(c) + 1) * sizeof *p) : NULL;
  if (p == NULL) return lm_cursor_fail(c, LM_E_MEMORY, "room for numbers");
  while (!lm_imap_at_end(c)) {
    if (!lm_imap_sp(c)) return false;
    if (lm_peek(c) == '(') break;
    if (!lm_take_u32(c, &p[n++])) return false;
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

/* search-return-data: a name and its value */
static bool return_data(struct lm_cursor *c, struct lm_imap_value *out) {
  struct lm_imap_value *v;
  struct lm_str key;
  if (!lm_imap_atom(c, &key) || !lm_imap_lower(c, key, &key)) return false;
  if (LM_IS(key, "uid")) return lm_imap_add_true(c, out, key);
  if (!lm_imap_sp(c) || (v = lm_imap_child(c, out, key)) == NULL) return false;
  return LM_IS(key, "all") ? lm_imap_set_value(c, v) : lm_imap_value(c, v);
}

/* "ESEARCH" [SP "(" "TAG" SP tag-string ")"] [SP "UID"] *(SP search-return-data) */
static bool data_esearch(struct lm_cursor *c, const struct lm_imap_how *how,
                         struct lm_imap_value *out) {
  (void)how;
  lm_imap_make_list(out);
  while (!lm_imap_at_end(c)) {
    struct lm_str tag;
    if (!lm_imap_sp(c)) return false;
    if (!lm_accept(c, '(')) {
      if (!return_data(c, out)) return false;
      continue;
    }
    if (!LM_IS(lm_imap_word(c), "TAG")) return lm_cursor_fail(c, LM_E_PROTOCOL, "TAG");
    if (!lm_imap_sp(c) || !lm_imap_astring(c, &tag) || !lm_expect(c, ')', "end of TAG") ||
        !lm_imap_add_text(c, out, LM_STR("tag"), tag)) {
      return false;
    }
  }
  return true;
}

static const struct lm_imap_data data[] = {
    {LM_NAME("SEARCH"), LM_IMAP_G_SEARCH, data_search},
    {LM_NAME("SORT"), LM_IMAP_G_SEARCH, data_search},
    {LM_NAME("ESEARCH"), LM_IMAP_G_SEARCH, data_esearch},
    {{NULL, 0}, LM_IMAP_G_OTHER, NULL},
};

const struct lm_imap_ext lm_imap_ext_esearch = {"ESEARCH", NULL, data, NULL};
