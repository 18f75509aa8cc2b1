/*
** push_imap.c: parsed IMAP data as Lua tables.
*/
#include "bind/push_imap.h"

#include <string.h>

#include "bind/vocabulary.h"

/* --- keys ---------------------------------------------------------------------------------------- */

enum key {
  K_SEQ = 1,
  K_UID,
  K_FLAGS,
  K_INTERNALDATE,
  K_SIZE,
  K_MODSEQ,
  K_ENVELOPE,
  K_BODYSTRUCTURE,
  K_BODY,
  K_BINARY,
  K_RAW,
  K_DEFECTS,
  K_STREAMED,
  K_ITEM,
  K_REASON,
  K_DATE,
  K_SUBJECT,
  K_FROM,
  K_SENDER,
  K_REPLY_TO,
  K_TO,
  K_CC,
  K_BCC,
  K_IN_REPLY_TO,
  K_MESSAGE_ID,
  K_NAME,
  K_ADDRESS,
  K_GROUP,
  K_MEMBERS,
  K_TYPE,
  K_PARAMETERS,
  K_PARTS,
  K_SECTION,
  K_LINES,
  K_ENCODING,
  K_ID,
  K_DESCRIPTION,
  K_MD5,
  K_DISPOSITION,
  K_LANGUAGE,
  K_LOCATION,
  K_KIND,
  K_TAG,
  K_NUMBER,
  K_VALUE,
  K_CODE,
  K_CODE_VALUE,
  K_TEXT,
  KEYS
};

static const char *const names[KEYS] = {
    NULL,          "seq",         "uid",           "flags",       "internaldate", "size",
    "modseq",      "envelope",    "bodystructure", "body",        "binary",       "raw",
    "defects",     "streamed",    "item",          "reason",      "date",         "subject",
    "from",        "sender",      "reply_to",      "to",          "cc",           "bcc",
    "in_reply_to", "message_id",  "name",          "address",     "group",        "members",
    "type",        "parameters",  "parts",         "section",     "lines",        "encoding",
    "id",          "description", "md5",           "disposition", "language",     "location",
    "kind",        "tag",         "number",        "value",       "code",         "code_value",
    "text",
};

static char keys_key; /* its address finds the array in the registry: keys, and behind them words */

void lm_imap_push_setup(lua_State *L) {
  int i;
  lua_createtable(L, KEYS + LM_VOCABULARY, 0);
  for (i = 1; i < KEYS; i++) {
    lua_pushstring(L, names[i]);
    lua_rawseti(L, -2, i);
  }
  for (i = 1; i <= LM_VOCABULARY; i++) {
    lm_pushstr(L, lm_vocabulary_word(i));
    lua_rawseti(L, -2, KEYS - 1 + i);
  }
  lua_rawsetp(L, LUA_REGISTRYINDEX, &keys_key);
}

/* Where things are pushed: the state, and the stack index of the array of keys. */
struct to {
  lua_State *L;
  int keys;
};

static struct to begin(lua_State *L) {
  struct to t;
  luaL_checkstack(L, 40, "IMAP data");
  lua_rawgetp(L, LUA_REGISTRYINDEX, &keys_key);
  t.L = L;
  t.keys = lua_gettop(L);
  return t;
}

/* Leaves the value on the top, without the array below it. */
static void end(struct to t) {
  lua_remove(t.L, t.keys);
}

/* Pushes the key; the value and set() follow. */
static inline void key(struct to t, enum key k) {
  lua_rawgeti(t.L, t.keys, k);
}

static inline void set(struct to t) {
  lua_rawset(t.L, -3);
}

/* Pushes a text that most often is one of few. */
static inline void push_word(struct to t, struct lm_str s) {
  int place = lm_vocabulary_find(s);
  if (place) {
    lua_rawgeti(t.L, t.keys, KEYS - 1 + place);
  } else {
    lm_pushstr(t.L, s);
  }
}

static inline void put_word(struct to t, enum key k, struct lm_str s) {
  key(t, k);
  push_word(t, s);
  set(t);
}

static inline void put_str(struct to t, enum key k, struct lm_str s) {
  key(t, k);
  lua_pushlstring(t.L, s.p, s.n);
  set(t);
}

/* NIL is no field. */
static inline void put_nstr(struct to t, enum key k, struct lm_str s) {
  if (s.p) put_str(t, k, s);
}

static void put_number(struct to t, enum key k, uint64_t n) {
  key(t, k);
  lm_push_u64(t.L, n);
  set(t);
}

/* --- values --------------------------------------------------------------------------------------- */

static void push_members(lua_State *L, const struct lm_imap_value *set_of) {
  const struct lm_imap_value *v;
  lua_createtable(L, 0, (int)set_of->count);
  for (v = set_of->u.list.first; v; v = v->next) {
    lm_pushstr(L, v->u.text);
    lua_pushboolean(L, 1);
    lua_rawset(L, -3);
  }
}

/* Numbers become elements of the table on the top, behind `n`; the new count. */
static int add_numbers(lua_State *L, const struct lm_imap_value *v, int n) {
  size_t i;
  for (i = 0; i < v->u.numbers.n; i++) {
    lm_push_u64(L, v->u.numbers.p[i]);
    lua_rawseti(L, -2, ++n);
  }
  return n;
}

static void push_list(lua_State *L, const struct lm_imap_value *list) {
  const struct lm_imap_value *v = list->u.list.first;
  bool numbers = v && v->kind == LM_VALUE_NUMBERS;
  bool fields = v && v->key.p;
  int n = 0;
  luaL_checkstack(L, 8, "IMAP data");
  lua_createtable(L,
                  numbers  ? (int)v->u.numbers.n
                  : fields ? 0
                           : (int)list->count,
                  fields ? (int)list->count : 0);
  for (; v; v = v->next) {
    if (v->kind == LM_VALUE_NUMBERS) {
      n = add_numbers(L, v, n);
    } else if (v->key.p) {
      lm_pushstr(L, v->key);
      lm_imap_push_value(L, v);
      lua_rawset(L, -3);
    } else {
      lm_imap_push_value(L, v);
      lua_rawseti(L, -2, ++n);
    }
  }
}

enum { EXACT_BITS = 53 };

/* {id=, child, child ...} for each message of a tree. One table holds the node of each level that is
** open: no depth of the answer is a depth of the stack. A message without number has no id. */
static void push_tree(lua_State *L, const struct lm_imap_value *tree) {
  const uint32_t *p = tree->u.numbers.p, *end = p + tree->u.numbers.n;
  int at;
  luaL_checkstack(L, 8, "IMAP data");
  lua_newtable(L); /* level + 1 → node; at 1 what is above the top */
  at = lua_gettop(L);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_rawseti(L, at, 1);
  for (; p < end; p += 2) {
    lua_createtable(L, 0, 1);
    if (p[1]) {
      lm_push_u64(L, p[1]);
      lua_setfield(L, -2, "id");
    }
    lua_rawgeti(L, at, (int)p[0] + 1);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, (int)lua_rawlen(L, -2) + 1);
    lua_pop(L, 1);
    lua_rawseti(L, at, (int)p[0] + 2);
  }
  lua_remove(L, at);
}

/* A number, or its digits where a float of other Luas could not hold it. */
static void push_number(lua_State *L, uint64_t n) {
  char digits[20];
  size_t i = sizeof digits;
  if (n >> EXACT_BITS == 0) {
    lm_push_u64(L, n);
    return;
  }
  for (; n; n /= 10) digits[--i] = (char)('0' + n % 10);
  lua_pushlstring(L, digits + i, sizeof digits - i);
}

void lm_imap_push_value(lua_State *L, const struct lm_imap_value *v) {
  switch (v->kind) {
  case LM_VALUE_NIL: lua_pushboolean(L, 0); break;
  case LM_VALUE_TRUE: lua_pushboolean(L, 1); break;
  case LM_VALUE_NUMBER: push_number(L, v->u.number); break;
  case LM_VALUE_ATOM:
  case LM_VALUE_STRING: lm_pushstr(L, v->u.text); break;
  case LM_VALUE_SET: push_members(L, v); break;
  case LM_VALUE_NUMBERS:
    lua_createtable(L, (int)v->u.numbers.n, 0);
    add_numbers(L, v, 0);
    break;
  case LM_VALUE_TREE: push_tree(L, v); break;
  default: push_list(L, v); break;
  }
}

void lm_imap_push_optional(lua_State *L, const struct lm_imap_value *v) {
  if (v->kind == LM_VALUE_NIL) {
    lua_pushnil(L);
  } else {
    lm_imap_push_value(L, v);
  }
}

/* --- envelopes ------------------------------------------------------------------------------------ */

enum { ADDRESS_MAX = 320 }; /* longer ones are put together by Lua */

/* "mailbox@host" */
static void push_addr_spec(lua_State *L, struct lm_str mailbox, struct lm_str host) {
  char text[ADDRESS_MAX];
  size_t n = mailbox.n + 1 + host.n;
  if (n <= sizeof text) {
    if (mailbox.n) memcpy(text, mailbox.p, mailbox.n);
    text[mailbox.n] = '@';
    if (host.n) memcpy(text + mailbox.n + 1, host.p, host.n);
    lua_pushlstring(L, text, n);
    return;
  }
  lm_pushstr(L, mailbox);
  lua_pushliteral(L, "@");
  lm_pushstr(L, host);
  lua_concat(L, 3);
}

static void push_address(struct to t, const struct lm_imap_address *a) {
  lua_createtable(t.L, 0, a->name.n ? 2 : 1);
  if (a->name.n) put_str(t, K_NAME, a->name);
  key(t, K_ADDRESS);
  push_addr_spec(t.L, a->mailbox, a->host);
  set(t);
}

/* {group = name, members = {}}, and the members on the top. */
static void push_group(struct to t, const struct lm_imap_address *a) {
  lua_createtable(t.L, 0, 2);
  put_str(t, K_GROUP, a->mailbox);
  key(t, K_MEMBERS);
  lua_newtable(t.L);
  lua_pushvalue(t.L, -1);
  lua_insert(t.L, -4); /* members, group, key, members */
  set(t);
}

/* An array of addresses and groups (RFC 9051 §7.5.2: host NIL begins a group, all NIL ends it). */
static void push_addresses(struct to t, const struct lm_imap_address *a) {
  const struct lm_imap_address *one;
  int n = 0, members = 0;
  bool grouped = false;
  for (one = a; one; one = one->next) n++;
  lua_createtable(t.L, n, 0);
  n = 0;
  for (; a; a = a->next) {
    if (a->host.p) {
      push_address(t, a);
      lua_rawseti(t.L, -2, grouped ? ++members : ++n);
    } else {
      if (grouped) lua_pop(t.L, 1);
      grouped = a->mailbox.p != NULL;
      if (!grouped) continue;
      push_group(t, a);
      lua_rawseti(t.L, -3, ++n);
      members = 0;
    }
  }
  if (grouped) lua_pop(t.L, 1);
}

/* Tables get their size at once: growing one costs more than filling it. */
static int count_envelope(const struct lm_imap_envelope *e) {
  int i, n = (e->date.p != NULL) + (e->subject.p != NULL) + (e->in_reply_to.p != NULL) +
             (e->message_id.p != NULL);
  for (i = 0; i < LM_IMAP_ADDRESS_LISTS; i++) n += e->list[i] != NULL;
  return n;
}

/* Fields from ... bcc. Lists that are one in C are one table: sender and reply_to of most mail. */
static void put_address_lists(struct to t, const struct lm_imap_envelope *e) {
  int i;
  for (i = 0; i < LM_IMAP_ADDRESS_LISTS; i++) {
    if (e->list[i] == NULL) continue;
    key(t, (enum key)(K_FROM + i));
    if (i != LM_IMAP_FROM && e->list[i] == e->list[LM_IMAP_FROM]) {
      key(t, K_FROM);
      lua_rawget(t.L, -3);
    } else {
      push_addresses(t, e->list[i]);
    }
    set(t);
  }
}

static void push_envelope(struct to t, const struct lm_imap_envelope *e) {
  lua_createtable(t.L, 0, count_envelope(e));
  put_nstr(t, K_DATE, e->date);
  put_nstr(t, K_SUBJECT, e->subject);
  put_address_lists(t, e);
  put_nstr(t, K_IN_REPLY_TO, e->in_reply_to);
  put_nstr(t, K_MESSAGE_ID, e->message_id);
}

/* --- body structures ------------------------------------------------------------------------------- */

/* {name = value} of the flat list; what is not two texts is passed over. */
static void push_parameters(struct to t, const struct lm_imap_value *list) {
  const struct lm_imap_value *v = list->u.list.first;
  lua_createtable(t.L, 0, (int)(list->count / 2));
  for (; v && v->next; v = v->next->next) {
    struct lm_str name = lm_imap_text(v);
    if (name.n == 0 || v->next->kind == LM_VALUE_NIL || v->next->kind == LM_VALUE_LIST) continue;
    push_word(t, name);
    if (v->next->kind == LM_VALUE_STRING) {
      push_word(t, v->next->u.text);
    } else {
      lm_imap_push_value(t.L, v->next);
    }
    set(t);
  }
}

static void put_disposition(struct to t, const struct lm_imap_part *part) {
  if (part->disposition.p == NULL) return;
  key(t, K_DISPOSITION);
  lua_createtable(t.L, 0, 2);
  put_word(t, K_TYPE, part->disposition);
  if (part->disposition_parameters) {
    key(t, K_PARAMETERS);
    push_parameters(t, part->disposition_parameters);
    set(t);
  }
  set(t);
}

/* An array of language tags, for one as for many. */
static void put_language(struct to t, const struct lm_imap_part *part) {
  if (part->language == NULL) return;
  key(t, K_LANGUAGE);
  if (part->language->kind == LM_VALUE_LIST) {
    lm_imap_push_value(t.L, part->language);
  } else {
    lua_createtable(t.L, 1, 0);
    lm_imap_push_value(t.L, part->language);
    lua_rawseti(t.L, -2, 1);
  }
  set(t);
}

static void push_part(struct to t, const struct lm_imap_part *part);

static void put_parts(struct to t, const struct lm_imap_part *part) {
  const struct lm_imap_part *child;
  int n = 0;
  if (part->child == NULL && !part->multipart) return;
  luaL_checkstack(t.L, 12, "IMAP data");
  key(t, K_PARTS);
  lua_createtable(t.L, (int)part->children, 0);
  for (child = part->child; child; child = child->next) {
    push_part(t, child);
    lua_rawseti(t.L, -2, ++n);
  }
  set(t);
}

static int count_part(const struct lm_imap_part *p) {
  return 2 + (p->parameters != NULL) + (p->id.p != NULL) + (p->description.p != NULL) +
         (p->encoding.p != NULL) + p->has_size + p->has_lines + (p->envelope != NULL) +
         (p->md5.p != NULL) + (p->disposition.p != NULL) + (p->language != NULL) +
         (p->location.p != NULL) + (p->child != NULL || p->multipart);
}

static void push_part(struct to t, const struct lm_imap_part *part) {
  lua_createtable(t.L, 0, count_part(part));
  put_word(t, K_TYPE, part->type);
  put_word(t, K_SECTION, part->section);
  if (part->parameters) {
    key(t, K_PARAMETERS);
    push_parameters(t, part->parameters);
    set(t);
  }
  put_nstr(t, K_ID, part->id);
  put_nstr(t, K_DESCRIPTION, part->description);
  if (part->encoding.p) put_word(t, K_ENCODING, part->encoding);
  if (part->has_size) put_number(t, K_SIZE, part->size);
  if (part->has_lines) put_number(t, K_LINES, part->lines);
  if (part->envelope) {
    key(t, K_ENVELOPE);
    push_envelope(t, part->envelope);
    set(t);
  }
  put_nstr(t, K_MD5, part->md5);
  put_disposition(t, part);
  put_language(t, part);
  put_nstr(t, K_LOCATION, part->location);
  put_parts(t, part);
}

/* --- messages -------------------------------------------------------------------------------------- */

/* The section's name; where one of that name is there already (two ranges of it), with its origin. */
static void push_section_name(lua_State *L, const struct lm_imap_section *s) {
  bool taken;
  lm_pushstr(L, s->name);
  lua_pushvalue(L, -1);
  lua_rawget(L, -3);
  taken = !lua_isnil(L, -1);
  lua_pop(L, 1);
  if (!taken || !s->partial) return;
  lua_pushfstring(L, "%s<%d>", lua_tostring(L, -1), (int)s->origin);
  lua_replace(L, -2);
}

/* Field `k`: {[section] = octets} of all sections of that kind that were not streamed. One that the
** server does not have (NIL) is left out; the field is there nevertheless. */
static void put_sections(struct to t, enum key k, const struct lm_imap_fetch *f, bool binary) {
  const struct lm_imap_section *s = f->sections;
  while (s && (s->binary != binary || s->streamed)) s = s->next;
  if (s == NULL) return;
  key(t, k);
  lua_createtable(t.L, 0, 1);
  for (; s; s = s->next) {
    if (s->binary != binary || s->streamed || s->data.p == NULL) continue;
    push_section_name(t.L, s);
    lm_pushstr(t.L, s->data);
    lua_rawset(t.L, -3);
  }
  set(t);
}

/* Field "streamed": {[section] = size} of what was handed out in pieces. */
static void put_streamed(struct to t, const struct lm_imap_fetch *f) {
  const struct lm_imap_section *s = f->sections;
  while (s && !s->streamed) s = s->next;
  if (s == NULL) return;
  key(t, K_STREAMED);
  lua_newtable(t.L);
  for (; s; s = s->next) {
    if (!s->streamed) continue;
    push_section_name(t.L, s);
    lm_push_u64(t.L, s->size);
    lua_rawset(t.L, -3);
  }
  set(t);
}

/* Field "defects": an array of {item=, reason=}. */
static void put_defects(struct to t, const struct lm_imap_fetch *f) {
  const struct lm_imap_defect *d;
  int n = 0;
  if (f->defects == NULL) return;
  key(t, K_DEFECTS);
  lua_newtable(t.L);
  for (d = f->defects; d; d = d->next) {
    lua_createtable(t.L, 0, 2);
    put_str(t, K_ITEM, d->item);
    key(t, K_REASON);
    lua_pushfstring(t.L, "%s expected", d->expected);
    set(t);
    lua_rawseti(t.L, -2, ++n);
  }
  set(t);
}

static void put_others(struct to t, const struct lm_imap_fetch *f) {
  const struct lm_imap_value *v;
  for (v = f->other.u.list.first; v; v = v->next) {
    lm_pushstr(t.L, v->key);
    lm_imap_push_value(t.L, v);
    set(t);
  }
  if (f->raw.count) {
    key(t, K_RAW);
    lm_imap_push_value(t.L, &f->raw);
    set(t);
  }
  put_defects(t, f);
}

static void put_trees(struct to t, const struct lm_imap_fetch *f) {
  if (f->envelope) {
    key(t, K_ENVELOPE);
    push_envelope(t, f->envelope);
    set(t);
  }
  if (f->bodystructure) {
    key(t, K_BODYSTRUCTURE);
    push_part(t, f->bodystructure);
    set(t);
  }
}

static int count_fields(const struct lm_imap_fetch *f) {
  unsigned has = f->has;
  int n = 1;
  for (; has; has &= has - 1) n++;
  return n + (f->envelope != NULL) + (f->bodystructure != NULL) + (f->sections != NULL) +
         (int)f->other.count;
}

static void push_flags(struct to t, const struct lm_imap_value *flags) {
  const struct lm_imap_value *v;
  lua_createtable(t.L, 0, (int)flags->count);
  for (v = flags->u.list.first; v; v = v->next) {
    push_word(t, v->u.text);
    lua_pushboolean(t.L, 1);
    set(t);
  }
}

static void push_message(struct to t, const struct lm_imap_fetch *f) {
  lua_createtable(t.L, 0, count_fields(f));
  if (f->seq) put_number(t, K_SEQ, f->seq);
  if (f->has & LM_IMAP_HAS_UID) put_number(t, K_UID, f->uid);
  if (f->has & LM_IMAP_HAS_FLAGS) {
    key(t, K_FLAGS);
    push_flags(t, &f->flags);
    set(t);
  }
  if (f->has & LM_IMAP_HAS_DATE) {
    key(t, K_INTERNALDATE);
    if (f->date < 0) {
      lua_pushnumber(t.L, (lua_Number)f->date);
    } else {
      lm_push_u64(t.L, (uint64_t)f->date);
    }
    set(t);
  }
  if (f->has & LM_IMAP_HAS_SIZE) put_number(t, K_SIZE, f->size);
  if (f->has & LM_IMAP_HAS_MODSEQ) {
    key(t, K_MODSEQ);
    push_number(t.L, f->modseq);
    set(t);
  }
  put_trees(t, f);
  if (f->sections) {
    put_sections(t, K_BODY, f, false);
    put_sections(t, K_BINARY, f, true);
    put_streamed(t, f);
  }
  put_others(t, f);
}

void lm_imap_push_fetch(lua_State *L, const struct lm_imap_fetch *f) {
  struct to t = begin(L);
  push_message(t, f);
  end(t);
}

/* --- responses, for mail.imap.parse ------------------------------------------------------------------- */

static void put_status(struct to t, const struct lm_imap_resp *r) {
  if (r->code.n) {
    put_str(t, K_CODE, r->code);
    if (r->code_value.kind != LM_VALUE_NIL) {
      key(t, K_CODE_VALUE);
      lm_imap_push_value(t.L, &r->code_value);
      set(t);
    }
  }
  put_nstr(t, K_TEXT, r->text);
}

static void put_data(struct to t, const struct lm_imap_resp *r) {
  if (r->has_number) put_number(t, K_NUMBER, r->number);
  if (r->fetch == NULL && r->value.kind == LM_VALUE_NIL) return;
  key(t, K_VALUE);
  if (r->fetch) {
    push_message(t, r->fetch);
  } else {
    lm_imap_push_value(t.L, &r->value);
  }
  set(t);
}

void lm_imap_push_resp(lua_State *L, const struct lm_imap_resp *r) {
  static const struct lm_str kinds[] = {LM_NAME("continue"), LM_NAME("untagged"),
                                        LM_NAME("tagged")};
  struct to t = begin(L);
  lua_createtable(L, 0, 6);
  put_str(t, K_KIND, kinds[r->kind]);
  put_nstr(t, K_TAG, r->tag);
  if (r->name.n) put_str(t, K_NAME, r->name);
  put_data(t, r);
  put_status(t, r);
  end(t);
}
