/*
** ext_objectid.c: what an item holds in parentheses of its own: EMAILID, THREADID and MAILBOXID
** (OBJECTID, RFC 8474), and SAVEDATE (RFC 8514), a date-time like INTERNALDATE.
*/
#include "imap/ext.h"
#include "imap/scan.h"

/* "(" objectid ")" / nil */
static bool object_id(struct lm_cursor *c, struct lm_imap_value *v) {
  if (lm_imap_nil(c)) return true;
  v->kind = LM_VALUE_STRING;
  return lm_expect(c, '(', "object id") && lm_imap_astring(c, &v->u.text) &&
         lm_expect(c, ')', "end of object id");
}

static bool item_id(struct lm_cursor *c, struct lm_imap_fetch *f, struct lm_str key) {
  struct lm_imap_value id = {.kind = LM_VALUE_NIL}, *v;
  if (!lm_imap_sp(c) || !object_id(c, &id)) return false;
  if (id.kind == LM_VALUE_NIL) return true; /* NIL is as good as not there */
  if ((v = lm_imap_fetch_other(c, f, key)) == NULL) return false;
  v->kind = id.kind;
  v->u = id.u;
  return true;
}

static bool item_emailid(struct lm_cursor *c, struct lm_imap_fetch *f) {
  return item_id(c, f, LM_STR("emailid"));
}

static bool item_threadid(struct lm_cursor *c, struct lm_imap_fetch *f) {
  return item_id(c, f, LM_STR("threadid"));
}

/* "SAVEDATE" SP (date-time / nil) */
static bool item_savedate(struct lm_cursor *c, struct lm_imap_fetch *f) {
  struct lm_imap_value *v;
  int64_t seconds = 0;
  if (!lm_imap_sp(c)) return false;
  if (lm_imap_nil(c)) return true;
  if (!lm_imap_date_time(c, &seconds) || seconds < 0) return false;
  if ((v = lm_imap_fetch_other(c, f, LM_STR("savedate"))) == NULL) return false;
  v->kind = LM_VALUE_NUMBER;
  v->u.number = (uint64_t)seconds;
  return true;
}

/* "PREVIEW" SP nstring (RFC 8970) */
static bool item_preview(struct lm_cursor *c, struct lm_imap_fetch *f) {
  struct lm_str text;
  if (!lm_imap_sp(c) || !lm_imap_nstring(c, &text)) return false;
  return text.p == NULL || lm_imap_add_text(c, &f->other, LM_STR("preview"), text);
}

static const struct lm_imap_item items[] = {
    {LM_NAME("EMAILID"), item_emailid},
    {LM_NAME("THREADID"), item_threadid},
    {LM_NAME("SAVEDATE"), item_savedate},
    {LM_NAME("PREVIEW"), item_preview},
    {{NULL, 0}, NULL},
};

static bool code_mailboxid(struct lm_cursor *c, struct lm_imap_value *out) {
  return object_id(c, out);
}

static const struct lm_imap_code codes[] = {
    {LM_NAME("MAILBOXID"), code_mailboxid},
    {{NULL, 0}, NULL},
};

const struct lm_imap_ext lm_imap_ext_objectid = {"OBJECTID", items, NULL, codes};
