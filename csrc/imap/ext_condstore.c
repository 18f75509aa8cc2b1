/*
** ext_condstore.c: CONDSTORE and QRESYNC (RFC 7162): MODSEQ, HIGHESTMODSEQ, MODIFIED, VANISHED.
*/
#include "imap/ext.h"

#include <string.h>

#include "imap/scan.h"

/* "MODSEQ" SP "(" permsg-modsequence ")"; 0 passes, and below 0 counts as 0 with a defect:
** spec/wire/imap/quirk-modseq-negative.wire */
static bool item_modseq(struct lm_cursor *c, struct lm_imap_fetch *f) {
  bool negative;
  if (!lm_imap_sp(c) || !lm_expect(c, '(', "mod-sequence")) return false;
  negative = lm_accept(c, '-');
  if (!lm_take_u64(c, &f->modseq) || !lm_expect(c, ')', "end of mod-sequence")) return false;
  f->has |= LM_IMAP_HAS_MODSEQ;
  if (!negative) return true;
  f->modseq = 0;
  return lm_imap_fetch_defect(c->arena, f, LM_STR("MODSEQ"), "number of 0 or more") ||
         lm_cursor_fail(c, LM_E_MEMORY, "room for a defect");
}

/* known-uids = sequence-set without "*" (RFC 7162 §7): what "*" names has never vanished. */
static bool known_uids(struct lm_cursor *c, struct lm_imap_value *out) {
  if (!lm_imap_set_value(c, out)) return false;
  if (memchr(out->u.text.p, '*', out->u.text.n) == NULL) return true;
  return lm_cursor_fail(c, LM_E_PROTOCOL, "known-uids without \"*\"");
}

/* "VANISHED" [SP "(EARLIER)"] SP known-uids */
static bool data_vanished(struct lm_cursor *c, const struct lm_imap_how *how,
                          struct lm_imap_value *out) {
  struct lm_imap_value *uids;
  (void)how;
  lm_imap_make_list(out);
  if (!lm_imap_sp(c)) return false;
  if (lm_accept(c, '(')) {
    struct lm_str word = lm_imap_word(c);
    if (!LM_IS(word, "EARLIER")) return lm_cursor_fail(c, LM_E_PROTOCOL, "EARLIER");
    if (!lm_expect(c, ')', "end of EARLIER") || !lm_imap_sp(c)) return false;
    if (!lm_imap_add_true(c, out, LM_STR("earlier"))) return false;
  }
  uids = lm_imap_child(c, out, LM_STR("uids"));
  return uids && known_uids(c, uids);
}

static const struct lm_imap_item items[] = {{LM_NAME("MODSEQ"), item_modseq}, {{NULL, 0}, NULL}};

static const struct lm_imap_data data[] = {
    {LM_NAME("VANISHED"), LM_IMAP_G_EXPUNGE, data_vanished},
    {{NULL, 0}, LM_IMAP_G_OTHER, NULL},
};

static const struct lm_imap_code codes[] = {
    {LM_NAME("HIGHESTMODSEQ"), lm_imap_number_value},
    {LM_NAME("MODIFIED"), lm_imap_set_value},
    {{NULL, 0}, NULL},
};

const struct lm_imap_ext lm_imap_ext_condstore = {"CONDSTORE", items, data, codes};
