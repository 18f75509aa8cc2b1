/*
** ext_uidplus.c: UIDPLUS (RFC 4315) and what MOVE uses of it: APPENDUID and COPYUID.
*/
#include "imap/ext.h"
#include "imap/scan.h"

static bool field_number(struct lm_cursor *c, struct lm_imap_value *out, struct lm_str key) {
  struct lm_imap_value *v = lm_imap_child(c, out, key);
  return v && lm_imap_number_value(c, v);
}

static bool field_set(struct lm_cursor *c, struct lm_imap_value *out, struct lm_str key) {
  struct lm_imap_value *v = lm_imap_child(c, out, key);
  return v && lm_imap_set_value(c, v);
}

/* resp-code-apnd = "APPENDUID" SP nz-number SP append-uid */
static bool code_appenduid(struct lm_cursor *c, struct lm_imap_value *out) {
  lm_imap_make_list(out);
  return field_number(c, out, LM_STR("uidvalidity")) && lm_imap_sp(c) &&
         field_set(c, out, LM_STR("uids"));
}

/* resp-code-copy = "COPYUID" SP nz-number SP uid-set SP uid-set */
static bool code_copyuid(struct lm_cursor *c, struct lm_imap_value *out) {
  lm_imap_make_list(out);
  return field_number(c, out, LM_STR("uidvalidity")) && lm_imap_sp(c) &&
         field_set(c, out, LM_STR("from")) && lm_imap_sp(c) && field_set(c, out, LM_STR("to"));
}

static const struct lm_imap_code codes[] = {
    {LM_NAME("APPENDUID"), code_appenduid},
    {LM_NAME("COPYUID"), code_copyuid},
    {{NULL, 0}, NULL},
};

const struct lm_imap_ext lm_imap_ext_uidplus = {"UIDPLUS", NULL, NULL, codes};
