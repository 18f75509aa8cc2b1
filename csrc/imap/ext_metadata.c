/*
** ext_metadata.c: annotations of mailboxes and of the server (RFC 5464 §4.4), asked for (with values)
** or news (names alone).
*/
#include "imap/ext.h"
#include "imap/scan.h"

/* entry-values = "(" entry-value *(SP entry-value) ")"; entry-value = entry SP value */
static bool values(struct lm_cursor *c, struct lm_imap_value *out) {
  struct lm_imap_value *list = lm_imap_child(c, out, LM_STR("values"));
  if (list == NULL || !lm_expect(c, '(', "values")) return false;
  lm_imap_make_list(list);
  while (!lm_accept(c, ')')) {
    struct lm_str entry, value;
    struct lm_imap_value *v;
    if (!lm_imap_astring(c, &entry) || !lm_imap_sp(c) || !lm_imap_nstring(c, &value)) return false;
    if ((v = lm_imap_child(c, list, entry)) == NULL) return false;
    if (value.p) {
      v->kind = LM_VALUE_STRING;
      v->u.text = value;
    }
    while (lm_accept(c, ' ')) continue;
  }
  return true;
}

/* entry-list = entry *(SP entry) */
static bool entries(struct lm_cursor *c, struct lm_imap_value *out) {
  struct lm_imap_value *list = lm_imap_child(c, out, LM_STR("entries"));
  if (list == NULL) return false;
  lm_imap_make_list(list);
  while (!lm_imap_at_end(c)) {
    struct lm_str entry;
    if (!lm_imap_astring(c, &entry) || !lm_imap_add_text(c, list, LM_NOSTR, entry)) return false;
    while (lm_accept(c, ' ')) continue;
  }
  return true;
}

/* metadata-resp = "METADATA" SP mailbox SP (entry-values / entry-list) */
static bool data_metadata(struct lm_cursor *c, const struct lm_imap_how *how,
                          struct lm_imap_value *out) {
  struct lm_str name;
  lm_imap_make_list(out);
  if (!lm_imap_sp(c) || !lm_imap_word_mailbox(c, how, &name)) return false;
  if (!lm_imap_add_text(c, out, LM_STR("name"), name) || !lm_imap_sp(c)) return false;
  return lm_peek(c) == '(' ? values(c, out) : entries(c, out);
}

/* "METADATA" SP ("LONGENTRIES" SP number / "MAXSIZE" SP number / "TOOMANY" / "NOPRIVATE") */
static bool code_metadata(struct lm_cursor *c, struct lm_imap_value *out) {
  struct lm_imap_value *v;
  struct lm_str word;
  lm_imap_make_list(out);
  if (!lm_imap_atom(c, &word) || !lm_imap_lower(c, word, &word)) return false;
  if (lm_peek(c) != ' ') return lm_imap_add_true(c, out, word);
  v = lm_imap_child(c, out, word);
  return v && lm_imap_sp(c) && lm_imap_number_value(c, v);
}

static const struct lm_imap_data data[] = {
    {LM_NAME("METADATA"), LM_IMAP_G_ABOUT, data_metadata},
    {{NULL, 0}, LM_IMAP_G_OTHER, NULL},
};

static const struct lm_imap_code codes[] = {
    {LM_NAME("METADATA"), code_metadata},
    {LM_NAME("ANNOTATE"), code_metadata}, /* RFC 5257: TOOBIG, TOOMANY */
    {{NULL, 0}, NULL},
};

const struct lm_imap_ext lm_imap_ext_metadata = {"METADATA", NULL, data, codes};
