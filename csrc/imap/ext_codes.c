/*
** ext_codes.c: response codes with arguments that belong to no extension of ours.
**
** Codes without arguments (all of RFC 5530) need no line, nor do those whose raw text is the value:
** UNDEFINED-FILTER (RFC 5466), WEBALERT.
*/
#include "imap/ext.h"
#include "imap/scan.h"

/* "REFERRAL" SP 1*imapurl (RFC 2221, RFC 2193): one URL or several, in order. A "]" ends the code:
** it stands for itself in no URL. */
static bool code_referral(struct lm_cursor *c, struct lm_imap_value *out) {
  lm_imap_make_list(out);
  for (;;) {
    const char *from;
    while (lm_accept(c, ' ')) continue;
    for (from = c->p; c->p<c->end && * c->p> ' ' && *c->p != ']'; c->p++) continue;
    if (c->p == from) break;
    if (!lm_imap_add_text(c, out, LM_NOSTR, (struct lm_str){from, (size_t)(c->p - from)})) {
      return false;
    }
  }
  return out->count > 0 || lm_cursor_fail(c, LM_E_PROTOCOL, "URL");
}

/* A list of atoms: BADEVENT (RFC 5465), BADCHARSET */
static bool code_list(struct lm_cursor *c, struct lm_imap_value *out) {
  if (lm_peek(c) != '(') return lm_cursor_fail(c, LM_E_PROTOCOL, "list");
  return lm_imap_value(c, out);
}

/* "NOUPDATE" SP quoted (RFC 5267): the tag of the search */
static bool code_tag(struct lm_cursor *c, struct lm_imap_value *out) {
  out->kind = LM_VALUE_STRING;
  return lm_imap_string(c, &out->u.text);
}

static const struct lm_imap_code codes[] = {
    {LM_NAME("REFERRAL"), code_referral},
    {LM_NAME("BADEVENT"), code_list},
    {LM_NAME("NOUPDATE"), code_tag},
    {LM_NAME("APPENDLIMIT"), lm_imap_number_value}, /* RFC 7889 */
    {LM_NAME("MAXCONVERTMESSAGES"), lm_imap_number_value},
    {LM_NAME("MAXCONVERTPARTS"), lm_imap_number_value},
    {{NULL, 0}, NULL},
};

const struct lm_imap_ext lm_imap_ext_codes = {NULL, NULL, NULL, codes};
