/*
** l_compose.c: what composing needs of the core: header fields as they are written, a look at text, and
** transfer encodings.
**
** No field leaves here with CR, LF or NUL in its value: all are written by the functions of this file.
** The buffer that they share is scratch memory of their class (upvalue 1): an error raised halfway leaks nothing.
*/
#include <string.h>

#include "base/chars.h"
#include "base/digest.h"
#include "bind/bind.h"
#include "bind/open.h"
#include "bind/push_mime.h"
#include "mime/content.h"
#include "mime/fold.h"
#include "mime/survey.h"
#include "mime/transfer.h"

/* The longest line that may be sent (RFC 5322 §2.1.1). */
enum { LINE_MAX_OCTETS = 998, PARAMETERS_MAX = 100 };

/* Scratch memory that stays from call to call. */
enum { ROOM_KEPT = 1048576 };

/* --- header fields --------------------------------------------------------------------------- */

struct scratch {
  struct lm_shared shared;
  struct lm_buf buf;
};

static int scratch_gc(lua_State *L) {
  struct scratch *s = lm_checkself(L);
  lm_buf_free(&s->buf);
  return 0;
}

static int done(struct scratch *s, int results) {
  lm_buf_clear(&s->buf);
  if (s->buf.cap > ROOM_KEPT) lm_buf_free(&s->buf);
  return lm_give(&s->shared, results);
}

static int refused(lua_State *L, const char *why) {
  lua_pushnil(L);
  lua_pushstring(L, why);
  return 2;
}

static bool has_long_line(struct lm_str s) {
  while (s.n) {
    const char *lf = memchr(s.p, '\n', s.n);
    size_t n = lf ? (size_t)(lf - s.p) + 1 : s.n;
    if (n > LINE_MAX_OCTETS + 2) return true;
    s = (struct lm_str){s.p + n, s.n - n};
  }
  return false;
}

/* Ends the field and pushes it; or nil, why. */
static int push_field(lua_State *L, struct scratch *s, struct lm_fold *f, bool ok) {
  if (!ok || !lm_fold_end(f)) return luaL_error(L, "out of memory");
  if (has_long_line(lm_buf_str(f->out))) return done(s, refused(L, "a word too long for a line"));
  lm_pushstr(L, lm_buf_str(f->out));
  return done(s, 1);
}

static int write_field(lua_State *L, bool (*write)(struct lm_fold *, struct lm_str)) {
  struct lm_str name = lm_checkstr(L, 1), value = lm_checkstr(L, 2);
  const char *why = lm_fold_refusal(name, value);
  bool utf8 = lua_toboolean(L, 3);
  struct scratch *s;
  struct lm_fold f;
  if (why) return refused(L, why);
  s = lm_take(L);
  return push_field(L, s, &f, lm_fold_begin(&f, &s->buf, name, utf8) && write(&f, value));
}

/* header_text(name, value, utf8) -> the folded field with its line end; or nil, why */
static int header_text(lua_State *L) {
  return write_field(L, lm_fold_text);
}

/* header_tokens(name, value, utf8): the same for structured text, encoded already */
static int header_tokens(lua_State *L) {
  return write_field(L, lm_fold_tokens);
}

/* The pair at 2k + 1 of the array at 3; false at its end. Both strings stay on the stack. */
static bool parameter(lua_State *L, int k, struct lm_str *name, struct lm_str *value) {
  lua_rawgeti(L, 3, 2 * k + 1);
  lua_rawgeti(L, 3, 2 * k + 2);
  if (lua_isnil(L, -2)) return false;
  *name = lm_checkstr(L, -2);
  *value = lm_checkstr(L, -1);
  return true;
}

/* header_params(name, main value, {name, value, ...}) -> the field; or nil, why */
static int header_params(lua_State *L) {
  struct lm_str field = lm_checkstr(L, 1), main = lm_checkstr(L, 2), name, value;
  const char *why = lm_fold_refusal(field, main);
  struct scratch *s;
  struct lm_fold f;
  bool ok;
  int k;
  luaL_checktype(L, 3, LUA_TTABLE);
  luaL_checkstack(L, 2 * PARAMETERS_MAX + 8, "parameters");
  if (why) return refused(L, why);
  s = lm_take(L);
  ok = lm_fold_begin(&f, &s->buf, field, false) && lm_fold_tokens(&f, main);
  for (k = 0; ok && k < PARAMETERS_MAX && parameter(L, k, &name, &value); k++) {
    why = lm_fold_refusal(name, value);
    if (why == NULL && (name.n > 40 || memchr(name.p, '*', name.n))) why = "no parameter name";
    if (why) return done(s, refused(L, why));
    ok = lm_fold_param(&f, name, value);
  }
  return push_field(L, s, &f, ok);
}

/* --- content --------------------------------------------------------------------------------- */

static void set_number(lua_State *L, const char *field, size_t n) {
  lm_push_u64(L, n);
  lua_setfield(L, -2, field);
}

static void set_flag(lua_State *L, const char *field, bool on) {
  lua_pushboolean(L, on);
  lua_setfield(L, -2, field);
}

/* survey(text) -> {eight=, escapes=, longest=, nul=, bare=, blank_ends=} */
static int survey(lua_State *L) {
  struct lm_survey s;
  lm_survey(lm_checkstr(L, 1), &s);
  lua_createtable(L, 0, 6);
  set_number(L, "eight", s.eight);
  set_number(L, "escapes", s.escapes);
  set_number(L, "longest", s.longest);
  set_flag(L, "nul", s.nul);
  set_flag(L, "bare", s.bare);
  set_flag(L, "blank_ends", s.blank_ends);
  return 1;
}

/* base64_length(n) -> how long n octets become, line ends counted */
static int base64_length(lua_State *L) {
  lua_Number n = luaL_checknumber(L, 1);
  luaL_argcheck(L, n >= 0 && n < 4e15, 1, "a size expected");
  lm_push_u64(L, lm_base64_length((uint64_t)n));
  return 1;
}

/* random_text(n) -> n characters of a to z and 2 to 7 that nobody can guess */
static int random_text(lua_State *L) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
  unsigned char octets[64];
  lua_Number wanted = luaL_checknumber(L, 1);
  size_t n, i;
  luaL_argcheck(L, wanted >= 1 && wanted <= 64, 1, "1 to 64 expected");
  n = (size_t)wanted;
  if (!lm_random(octets, n)) return luaL_error(L, "no random numbers to be had");
  for (i = 0; i < n; i++) octets[i] = (unsigned char)letters[octets[i] & 31];
  lua_pushlstring(L, (const char *)octets, n);
  return 1;
}

/* --- encoders -------------------------------------------------------------------------------- */

struct encoder {
  struct lm_encoder e;
  struct lm_buf out;
  bool halfway; /* a part of the text is being written and pushed; still so later: it is lost */
};

static int encoder_gc(lua_State *L) {
  struct encoder *x = lm_checkself(L);
  lm_buf_free(&x->out);
  return 0;
}

static struct encoder *checkencoder(lua_State *L) {
  struct encoder *x = lm_checkself(L);
  if (x->halfway)
    luaL_error(L, "the encoder is in use, or a part of the text was lost: memory was short");
  return x;
}

static int push_encoded(lua_State *L, struct encoder *x, bool ok) {
  x->halfway = true;
  if (!ok) return luaL_error(L, "out of memory");
  lm_pushstr(L, lm_buf_str(&x->out));
  lm_buf_clear(&x->out);
  x->halfway = false;
  return 1;
}

/* encoder:put(octets) -> what can be written so far */
static int encoder_put(lua_State *L) {
  struct encoder *x = checkencoder(L);
  return push_encoded(L, x, lm_encoder_put(&x->e, &x->out, lm_checkstr(L, 2)));
}

/* encoder:finish() -> the rest */
static int encoder_finish(lua_State *L) {
  struct encoder *x = checkencoder(L);
  return push_encoded(L, x, lm_encoder_end(&x->e, &x->out));
}

/* encoder(transfer encoding, is text) -> an encoder */
static int encoder_new(lua_State *L) {
  enum lm_transfer how;
  bool known = lm_transfer_find(lm_checkstr(L, 1), &how);
  struct encoder *x;
  luaL_argcheck(L, known && how != LM_TRANSFER_UU, 1, "a transfer encoding expected");
  x = lm_newobject(L, sizeof *x, lua_upvalueindex(2));
  lm_encoder_init(&x->e, how, lua_toboolean(L, 2));
  return 1;
}

/* --- transfer decoding ------------------------------------------------------------------------ */

/* transfer_decode(encoding, text) -> octets; nil where the encoding is unknown */
static int transfer_decode(lua_State *L) {
  struct lm_str name = lm_checkstr(L, 1), text = lm_checkstr(L, 2), out;
  struct scratch *s;
  enum lm_transfer how;
  size_t defects;
  if (!lm_transfer_find(name, &how)) return 0;
  s = lm_take(L);
  if (!lm_content_decode(how, text, &s->buf, &out, &defects)) return lm_no_memory(L);
  lm_pushstr(L, out);
  return done(s, 1);
}

/* --- opening --------------------------------------------------------------------------------- */

static const luaL_Reg no_methods[] = {{NULL, NULL}};
static const luaL_Reg scratch_meta[] = {{"__gc", scratch_gc}, {NULL, NULL}};
static const luaL_Reg encoder_methods[] = {
    {"put", encoder_put}, {"finish", encoder_finish}, {NULL, NULL}};
static const luaL_Reg encoder_meta[] = {{"__gc", encoder_gc}, {NULL, NULL}};

static const luaL_Reg functions[] = {{"header_text", header_text},
                                     {"header_tokens", header_tokens},
                                     {"header_params", header_params},
                                     {"survey", survey},
                                     {"base64_length", base64_length},
                                     {"random_text", random_text},
                                     {"encoder", encoder_new},
                                     {"transfer_decode", transfer_decode},
                                     {NULL, NULL}};

void lm_open_compose(lua_State *L) {
  lm_newclass(L, "field_class", "mail.field", no_methods, scratch_meta);
  lm_newclass(L, "encoder_class", "mail.encoder", encoder_methods, encoder_meta);
  lua_getfield(L, -1, "field_class");
  lm_share(L, sizeof(struct scratch), -1);
  lua_getfield(L, -2, "encoder_class");
  luaL_setfuncs(L, functions, 2);
}
