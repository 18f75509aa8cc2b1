/*
** ext_inprogress.c: INPROGRESS (RFC 9585): how far the server is with a command that takes long.
*/
#include "imap/ext.h"
#include "imap/scan.h"

/* number / nil */
static bool count(struct lm_cursor *c, struct lm_imap_value *out, struct lm_str key) {
  uint64_t n;
  if (!lm_imap_sp(c)) return false;
  return lm_imap_nil(c) || (lm_take_u64(c, &n) && lm_imap_add_number(c, out, key, n));
}

/* "INPROGRESS" [SP "(" (quoted-tag / nil) SP (number / nil) SP (nz-number / nil) ")"] */
static bool code_inprogress(struct lm_cursor *c, struct lm_imap_value *out) {
  struct lm_str tag;
  lm_imap_make_list(out);
  if (!lm_expect(c, '(', "progress") || !lm_imap_nstring(c, &tag)) return false;
  if (tag.p && !lm_imap_add_text(c, out, LM_STR("tag"), tag)) return false;
  return count(c, out, LM_STR("done")) && count(c, out, LM_STR("goal")) &&
         lm_expect(c, ')', "end of progress");
}

static const struct lm_imap_code codes[] = {
    {LM_NAME("INPROGRESS"), code_inprogress},
    {{NULL, 0}, NULL},
};

const struct lm_imap_ext lm_imap_ext_inprogress = {"INPROGRESS", NULL, NULL, codes};
