/*
** ext_messagelimit.c: MESSAGELIMIT (RFC 9738): a command did its work only in part.
*/
#include "imap/ext.h"
#include "imap/scan.h"

/* "MESSAGELIMIT" SP message-limit [SP uniqueid]: all from that UID up was done */
static bool code_messagelimit(struct lm_cursor *c, struct lm_imap_value *out) {
  struct lm_imap_value *v;
  lm_imap_make_list(out);
  v = lm_imap_child(c, out, LM_STR("limit"));
  if (v == NULL || !lm_imap_number_value(c, v)) return false;
  if (!lm_accept(c, ' ')) return true;
  return (v = lm_imap_child(c, out, LM_STR("uid"))) != NULL && lm_imap_number_value(c, v);
}

static const struct lm_imap_code codes[] = {
    {LM_NAME("MESSAGELIMIT"), code_messagelimit},
    {{NULL, 0}, NULL},
};

const struct lm_imap_ext lm_imap_ext_messagelimit = {"MESSAGELIMIT", NULL, NULL, codes};
