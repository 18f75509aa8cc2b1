/*
** l_mime.c: addresses, encoded words, charsets, dates and domain names for Lua, as plain functions.
**
** All share one arena, which is scratch memory of their class (upvalue 1): an error raised halfway leaks
** nothing. It is emptied at the end of a call.
*/
#include "base/chars.h"
#include "bind/bind.h"
#include "bind/open.h"
#include "bind/push_mime.h"
#include "mime/addr.h"
#include "mime/charset.h"
#include "mime/date.h"
#include "mime/header.h"
#include "mime/idn.h"
#include "mime/recipients.h"
#include "mime/word2047.h"

/* --- scratch memory -------------------------------------------------------------------------- */

struct scratch {
  struct lm_shared shared;
  struct lm_arena arena;
};

static int scratch_gc(lua_State *L) {
  struct scratch *s = lm_checkself(L);
  lm_arena_free(&s->arena);
  return 0;
}

static int done(struct scratch *s, int results) {
  lm_arena_free(&s->arena);
  return lm_give(&s->shared, results);
}

/* nil and words, or a raise where there are none: memory was short. */
static int refused(lua_State *L, const char *why) {
  if (why == NULL) return lm_no_memory(L);
  lua_pushnil(L);
  lua_pushstring(L, why);
  return 2;
}

/* --- addresses ------------------------------------------------------------------------------- */

static void set_text(lua_State *L, const char *field, struct lm_str s) {
  lm_pushstr(L, s);
  lua_setfield(L, -2, field);
}

/* The list that the text at 1 is, in scratch memory. */
static struct scratch *take_list(lua_State *L, struct lm_addr_list *list) {
  struct lm_str text = lm_checkstr(L, 1);
  struct scratch *s = lm_take(L);
  if (!lm_addr_list(&s->arena, text, list)) lm_no_memory(L);
  return s;
}

/* address_parse(text) -> array; or nil, why, offset where anything had to be guessed */
static int address_parse(lua_State *L) {
  struct lm_addr_list list;
  struct scratch *s = take_list(L, &list);
  if (list.defects) {
    refused(L, list.why);
    lm_push_u64(L, list.offset + 1);
    return done(s, 3);
  }
  lm_push_addresses(L, &s->arena, &list);
  return done(s, 1);
}

/* address_list(text) -> array, number of defects, the first of them: what could be read */
static int address_list(lua_State *L) {
  struct lm_addr_list list;
  struct scratch *s = take_list(L, &list);
  lm_push_addresses(L, &s->arena, &list);
  lm_push_u64(L, list.defects);
  lua_pushstring(L, list.why);
  return done(s, 3);
}

/* address_envelope(text, is_from) -> "local@domain", needs SMTPUTF8; or nil, why */
static int address_envelope(lua_State *L) {
  struct lm_str text = lm_checkstr(L, 1), spec;
  enum lm_addr_null null = lua_toboolean(L, 2) ? LM_ADDR_NULL_TAKEN : LM_ADDR_NULL_REFUSED;
  struct scratch *s = lm_take(L);
  struct lm_addr addr;
  const char *why;
  if (!lm_addr_envelope(&s->arena, text, null, &addr, &why)) return done(s, refused(L, why));
  if (!lm_addr_spec(&s->arena, &addr, &spec)) return lm_no_memory(L);
  lm_pushstr(L, spec);
  lua_pushboolean(L, addr.utf8);
  return done(s, 2);
}

/* address_format(name or nil, address) -> text; or nil, why */
static int address_format(lua_State *L) {
  struct lm_str name = lm_optstr(L, 1), address = lm_checkstr(L, 2), text;
  struct scratch *s = lm_take(L);
  struct lm_addr addr;
  const char *why;
  if (!lm_addr_strict(&s->arena, address, &addr, &why)) return done(s, refused(L, why));
  addr.name = name;
  if (!lm_addr_format(&s->arena, &addr, &text, &why)) return done(s, refused(L, why));
  lm_pushstr(L, text);
  return done(s, 1);
}

/* address_phrase(name) -> text of a display name or a group's name; or nil, why */
static int address_phrase(lua_State *L) {
  struct lm_str name = lm_checkstr(L, 1), text;
  struct scratch *s = lm_take(L);
  const char *why;
  if (!lm_addr_phrase(&s->arena, name, &text, &why)) return done(s, refused(L, why));
  lm_pushstr(L, text);
  return done(s, 1);
}

/* --- the envelope of a message --------------------------------------------------------------- */

/* The message at 1 without the spans; itself where there are none. */
static void push_without(lua_State *L, struct lm_str text, const struct lm_span *cut) {
  luaL_Buffer b;
  size_t at = 0;
  if (cut == NULL) {
    lua_pushvalue(L, 1);
    return;
  }
  luaL_buffinit(L, &b);
  for (; cut; cut = cut->next) {
    luaL_addlstring(&b, text.p + at, cut->start - at);
    at = cut->end;
  }
  luaL_addlstring(&b, text.p + at, text.n - at);
  luaL_pushresult(&b);
}

/* Each address once, in the order of the message; the table on top. */
static void push_recipients(lua_State *L, struct lm_arena *a, const struct lm_recipients *r) {
  const struct lm_addr *to;
  int n = 0;
  lua_newtable(L);
  lua_newtable(L); /* address -> true */
  for (to = r->to; to; to = to->next) {
    struct lm_str spec;
    bool seen;
    if (!lm_addr_spec(a, to, &spec)) lm_no_memory(L);
    lm_pushstr(L, spec);
    lua_pushvalue(L, -1);
    lua_rawget(L, -3);
    seen = lua_toboolean(L, -1);
    lua_pop(L, 1);
    if (!seen) {
      lua_pushvalue(L, -1);
      lua_pushboolean(L, 1);
      lua_rawset(L, -4);
      lua_pushvalue(L, -1);
      lua_rawseti(L, -4, ++n);
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

static int bad_field(lua_State *L, const struct lm_recipients *r) {
  if (r->why == NULL) return lm_no_memory(L);
  lua_pushnil(L);
  lua_pushliteral(L, "field ");
  lm_pushstr(L, r->field);
  lua_pushfstring(L, ": %s", r->why);
  lua_concat(L, 3);
  return 2;
}

/* envelope_of(message) -> {from= or nil, to={...}, message= without Bcc, body= offset of the body,
** utf8= SMTPUTF8 is needed}; or nil, why. The header alone will do for a message. */
static int envelope_of(lua_State *L) {
  struct lm_str text = lm_checkstr(L, 1);
  struct scratch *s = lm_take(L);
  struct lm_recipients r;
  if (!lm_recipients(&s->arena, text, &r)) return done(s, bad_field(L, &r));
  lua_createtable(L, 0, 5);
  if (r.from.p) set_text(L, "from", r.from);
  push_recipients(L, &s->arena, &r);
  lua_setfield(L, -2, "to");
  push_without(L, text, r.cut);
  lua_setfield(L, -2, "message");
  lm_push_u64(L, r.body);
  lua_setfield(L, -2, "body");
  lua_pushboolean(L, r.utf8);
  lua_setfield(L, -2, "utf8");
  return done(s, 1);
}

/* --- text ------------------------------------------------------------------------------------ */

/* decode_words(text) -> UTF-8, on one line */
static int decode_words(lua_State *L) {
  struct lm_str text = lm_checkstr(L, 1), out;
  struct scratch *s = lm_take(L);
  if (!lm_word2047_decode(&s->arena, text, &out)) return lm_no_memory(L);
  lm_pushstr(L, out);
  return done(s, 1);
}

/* A field by its name in any other case (RFC 5322 §1.2.2: names are case-insensitive). */
static int field_in_any_case(lua_State *L) {
  if (lua_type(L, 2) != LUA_TSTRING) return 0;
  lm_push_lower(L, lm_checkstr(L, 2));
  lua_rawget(L, 1);
  return 1;
}

static void find_in_any_case(lua_State *L) {
  if (luaL_newmetatable(L, "mail.header_fields")) {
    lua_pushcfunction(L, field_in_any_case);
    lua_setfield(L, -2, "__index");
  }
  lua_setmetatable(L, -2);
}

/* header_fields(text) -> {{name=, value= (UTF-8, on one line)}..., [name in lower case; found by any] =
** value of the first field of that name} */
static int header_fields(lua_State *L) {
  struct lm_header_walk w = lm_header_walk(lm_checkstr(L, 1));
  struct scratch *s = lm_take(L);
  struct lm_header_field field;
  int n = 0;
  lua_newtable(L);
  while (lm_header_next(&w, &field)) {
    lua_createtable(L, 0, 2);
    lm_pushstr(L, field.name);
    lua_setfield(L, -2, "name");
    lm_push_decoded(L, &s->arena, field.value);
    lua_setfield(L, -2, "value");
    lm_push_lower(L, field.name);
    lua_pushvalue(L, -1);
    lua_rawget(L, -4);
    if (lua_isnil(L, -1)) {
      lua_pop(L, 1);
      lua_getfield(L, -2, "value");
      lua_rawset(L, -4);
    } else {
      lua_pop(L, 2);
    }
    lua_rawseti(L, -2, ++n);
  }
  find_in_any_case(L);
  return done(s, 1);
}

/* encode_words(text) -> encoded words */
static int encode_words(lua_State *L) {
  struct lm_str text = lm_checkstr(L, 1), out;
  struct scratch *s;
  luaL_argcheck(L, lm_utf8_valid(text), 1, "UTF-8 expected");
  s = lm_take(L);
  if (!lm_word2047_encode(&s->arena, text, &out)) return lm_no_memory(L);
  lm_pushstr(L, out);
  return done(s, 1);
}

/* to_utf8(bytes, charset or nil) -> UTF-8 */
static int to_utf8(lua_State *L) {
  struct lm_str charset = lm_optstr(L, 2), bytes = lm_checkstr(L, 1), out;
  struct scratch *s = lm_take(L);
  if (!lm_charset_to_utf8(&s->arena, charset, bytes, &out)) return lm_no_memory(L);
  lm_pushstr(L, out);
  return done(s, 1);
}

/* from_utf8(text, charset) -> bytes; nil where the text does not fit or the charset is not known */
static int from_utf8(lua_State *L) {
  struct lm_str text = lm_checkstr(L, 1), charset = lm_checkstr(L, 2), kept = LM_NOSTR;
  struct scratch *s = lm_take(L);
  struct lm_buf out = {NULL, 0, 0, 0};
  enum lm_charset_fit fit = lm_charset_from_utf8(text, charset, &out);
  if (fit == LM_CHARSET_FITS) kept = lm_arena_copy(&s->arena, lm_buf_str(&out));
  lm_buf_free(&out); /* before Lua is asked for memory, which may raise */
  if (fit == LM_CHARSET_UNFIT) return done(s, 0);
  if (kept.p == NULL) return lm_no_memory(L);
  lm_pushstr(L, kept);
  return done(s, 1);
}

static int is_utf8(lua_State *L) {
  lua_pushboolean(L, lm_utf8_valid(lm_checkstr(L, 1)));
  return 1;
}

/* idn(domain) -> the name in A-labels; or nil, why */
static int idn(lua_State *L) {
  struct lm_str name = lm_checkstr(L, 1), out;
  struct scratch *s = lm_take(L);
  if (!lm_idn_to_ascii(&s->arena, name, &out)) {
    return done(s, refused(L, out.p ? "not a domain name" : NULL));
  }
  lm_pushstr(L, out);
  return done(s, 1);
}

/* --- dates ----------------------------------------------------------------------------------- */

static int64_t checkepoch(lua_State *L, int i) {
  lua_Number n = luaL_checknumber(L, i);
  int64_t whole;
  luaL_argcheck(L, n > -1e15 && n < 1e15, i, "seconds since 1970 expected");
  whole = (int64_t)n;
  return (lua_Number)whole > n ? whole - 1 : whole;
}

/* date_parse(text) -> seconds since 1970, zone in minutes; or nil */
static int date_parse(lua_State *L) {
  int64_t epoch;
  int zone;
  if (!lm_date_parse(lm_checkstr(L, 1), &epoch, &zone)) return 0;
  lm_push_epoch(L, epoch);
  lua_pushinteger(L, zone);
  return 2;
}

static int push_date(lua_State *L, const char *text, size_t n) {
  luaL_argcheck(L, n > 0, 1, "a date of the years 0 to 9999 expected");
  lua_pushlstring(L, text, n);
  return 1;
}

/* date_format(seconds, zone in minutes or nil) -> text of a Date field */
static int date_format(lua_State *L) {
  char text[LM_DATE_ROOM];
  int64_t epoch = checkepoch(L, 1);
  lua_Integer zone = luaL_optinteger(L, 2, 0);
  luaL_argcheck(L, zone > -1440 && zone < 1440, 2, "minutes of less than a day expected");
  return push_date(L, text, lm_date_format(text, epoch, (int)zone));
}

/* date_imap(seconds) -> "17-Jul-1996 02:44:25 +0000" */
static int date_imap(lua_State *L) {
  char text[LM_DATE_IMAP_ROOM];
  return push_date(L, text, lm_date_format_imap(text, checkepoch(L, 1)));
}

/* date_imap_day(seconds) -> "17-Jul-1996" */
static int date_imap_day(lua_State *L) {
  char text[LM_DATE_IMAP_ROOM];
  return push_date(L, text, lm_date_format_imap_day(text, checkepoch(L, 1)));
}

/* date_imap_parse(text) -> seconds; or nil where it is no date */
static int date_imap_parse(lua_State *L) {
  int64_t epoch;
  if (!lm_date_parse_imap(lm_checkstr(L, 1), &epoch) || epoch == LM_DATE_NONE) return 0;
  lm_push_epoch(L, epoch);
  return 1;
}

/* --- opening --------------------------------------------------------------------------------- */

static const luaL_Reg no_methods[] = {{NULL, NULL}};
static const luaL_Reg scratch_meta[] = {{"__gc", scratch_gc}, {NULL, NULL}};

static const luaL_Reg functions[] = {{"address_parse", address_parse},
                                     {"address_list", address_list},
                                     {"address_envelope", address_envelope},
                                     {"address_format", address_format},
                                     {"address_phrase", address_phrase},
                                     {"envelope_of", envelope_of},
                                     {"decode_words", decode_words},
                                     {"header_fields", header_fields},
                                     {"encode_words", encode_words},
                                     {"to_utf8", to_utf8},
                                     {"from_utf8", from_utf8},
                                     {"is_utf8", is_utf8},
                                     {"idn", idn},
                                     {"date_parse", date_parse},
                                     {"date_format", date_format},
                                     {"date_imap", date_imap},
                                     {"date_imap_day", date_imap_day},
                                     {"date_imap_parse", date_imap_parse},
                                     {NULL, NULL}};

void lm_open_mime(lua_State *L) {
  lm_newclass(L, "scratch_class", "mail.scratch", no_methods, scratch_meta);
  lua_getfield(L, -1, "scratch_class");
  lm_share(L, sizeof(struct scratch), -1);
  luaL_setfuncs(L, functions, 1);
}
