/*
** l_sign.c: what DKIM and ARC are made of, for Lua: tag lists, headers, bodies, keys.
**
** core.tags, core.sign_head, core.sign_body, core.sign_key, core.sign_public, core.sha256,
** core.sign_field, core.unbase64. The order of things, and what is believed, is Lua's:
** the folder lua/mail/sign.
*/
#include <stdlib.h>
#include <string.h>

#include "base/chars.h"
#include "base/digest.h"
#include "base/text.h"
#include "bind/bind.h"
#include "bind/open.h"
#include "sign/head.h"
#include "sign/tags.h"

static int no_memory(lua_State *L) {
  return luaL_error(L, "out of memory");
}

static int refused(lua_State *L, const char *why) {
  if (why == NULL) return no_memory(L);
  lua_pushnil(L);
  lua_pushstring(L, why);
  return 2;
}

static enum lm_canon checkcanon(lua_State *L, int i) {
  static const char *const names[] = {"simple", "relaxed", NULL};
  return (enum lm_canon)luaL_checkoption(L, i, NULL, names);
}

/* --- text ---------------------------------------------------------------------------------------- */

/* tags(text) -> {name = value, ...} with the names in order as 1, 2, ...; nil, why */
static int tags(lua_State *L) {
  struct lm_tags t;
  size_t i;
  if (!lm_tags_read(lm_checkstr(L, 1), &t)) return refused(L, t.why);
  lua_createtable(L, (int)t.n, (int)t.n);
  for (i = 0; i < t.n; i++) {
    lm_pushstr(L, t.tag[i].name);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, (int)i + 1);
    lm_pushstr(L, t.tag[i].value);
    lua_rawset(L, -3);
  }
  return 1;
}

/* unbase64(text): without regard to white space -> octets | nil, why */
static int unbase64(lua_State *L) {
  struct lm_str text = lm_checkstr(L, 1);
  struct lm_buf *flat = lm_newbuffer(L), *out = lm_newbuffer(L);
  bool made = lm_tags_unfold(flat, text);
  enum lm_base64 got = made ? lm_base64_decode(out, lm_buf_str(flat)) : LM_BASE64_MEMORY;
  lm_buf_free(flat);
  if (got == LM_BASE64_BAD) return refused(L, "bad base64");
  return lm_push_buffer(L, out, got == LM_BASE64_OK);
}

/* sha256(text) -> digest */
static int sha256(lua_State *L) {
  struct lm_str text = lm_checkstr(L, 1);
  unsigned char digest[LM_DIGEST_MAX];
  size_t n = lm_digest(LM_SHA256, &text, 1, digest);
  if (n == 0) return luaL_error(L, "no SHA-256");
  lua_pushlstring(L, (const char *)digest, n);
  return 1;
}

/* sign_field(field, "simple" | "relaxed"): a signature's own field, canonical and without the value
** of b= -> text | nil, why */
static int sign_field(lua_State *L) {
  struct lm_str text = lm_checkstr(L, 1);
  enum lm_canon kind = checkcanon(L, 2);
  struct lm_header_walk w = lm_header_walk(text);
  struct lm_header_field f;
  struct lm_buf *out;
  struct lm_tags t;
  if (!lm_header_next(&w, &f) || !lm_tags_read(f.value, &t) || !lm_tags_find(&t, LM_STR("b"))) {
    return refused(L, "no signature");
  }
  out = lm_newbuffer(L);
  return lm_push_buffer(L, out, lm_canon_signature(out, &f, kind));
}

/* --- headers ------------------------------------------------------------------------------------- */

struct head {
  struct lm_head *head;
  bool whole;
};

/* sign_head() -> head */
static int sign_head(lua_State *L) {
  struct head *h = lm_newobject(L, sizeof *h, lua_upvalueindex(1));
  if ((h->head = lm_head_new()) == NULL) return no_memory(L);
  return 1;
}

static int push_state(lua_State *L, struct head *h, enum lm_head_state state, size_t used) {
  h->whole = state == LM_HEAD_WHOLE;
  if (state == LM_HEAD_MEMORY) { /* what was read of the piece nobody knows */
    lm_head_free(h->head);
    h->head = NULL;
    return no_memory(L);
  }
  if (state == LM_HEAD_LIMIT) return refused(L, "the header is too large");
  lua_pushboolean(L, h->whole);
  lua_pushinteger(L, (lua_Integer)used);
  return 2;
}

static struct head *checkopen(lua_State *L) {
  struct head *h = lm_checkself(L);
  luaL_argcheck(L, !h->whole, 1, "the header is whole");
  luaL_argcheck(L, h->head != NULL, 1, "the header was lost: memory was short");
  return h;
}

static const struct lm_head *checkwhole(lua_State *L) {
  struct head *h = lm_checkself(L);
  luaL_argcheck(L, h->whole, 1, "the header is not whole yet");
  return h->head;
}

/* head:add(piece) -> whole, octets taken | nil, why */
static int head_add(lua_State *L) {
  struct head *h = checkopen(L);
  struct lm_str piece = lm_checkstr(L, 2);
  size_t used;
  enum lm_head_state state;
  checkopen(L); /* to make a string may collect, and a finalizer add to it */
  state = lm_head_add(h->head, piece, &used);
  return push_state(L, h, state, used);
}

/* head:finish() -> true, 0 | nil, why: the message ended in its header */
static int head_finish(lua_State *L) {
  struct head *h = checkopen(L);
  return push_state(L, h, lm_head_end(h->head), 0);
}

/* head:is_clean() -> boolean */
static int head_is_clean(lua_State *L) {
  lua_pushboolean(L, lm_head_is_clean(checkwhole(L)));
  return 1;
}

/* head:count([name]) -> fields in all, or of that name */
static int head_count(lua_State *L) {
  const struct lm_head *h = checkwhole(L);
  struct lm_str name = lm_optstr(L, 2);
  lm_push_u64(L, name.p ? lm_head_has(h, name) : lm_head_count(h));
  return 1;
}

/* head:field(i) -> name, value, the field as it stands without its last line end | nil */
static int head_field(lua_State *L) {
  const struct lm_head *h = checkwhole(L);
  lua_Integer i = luaL_checkinteger(L, 2);
  const struct lm_header_field *f;
  if (i < 1 || (uint64_t)i > lm_head_count(h)) return 0;
  f = lm_head_field(h, (size_t)i - 1);
  lm_pushstr(L, f->name);
  lm_pushstr(L, f->value);
  lua_pushlstring(L, f->name.p, (size_t)(f->value.p + f->value.n - f->name.p));
  return 3;
}

/* head:find(name [, from]) -> index of the first such field from there on | nil */
static int head_find(lua_State *L) {
  const struct lm_head *h = checkwhole(L);
  struct lm_str name = lm_checkstr(L, 2);
  lua_Integer from = luaL_optinteger(L, 3, 1);
  size_t i;
  for (i = from < 1 ? 0 : (size_t)from - 1; i < lm_head_count(h); i++) {
    if (!lm_str_ieq(lm_head_field(h, i)->name, name)) continue;
    lua_pushinteger(L, (lua_Integer)i + 1);
    return 1;
  }
  return 0;
}

/* head:canonical(i, canonicalization) -> the field, canonical, without a line end */
static int head_canonical(lua_State *L) {
  const struct lm_head *h = checkwhole(L);
  lua_Integer i = luaL_checkinteger(L, 2);
  enum lm_canon kind = checkcanon(L, 3);
  struct lm_buf *out;
  luaL_argcheck(L, i >= 1 && (uint64_t)i <= lm_head_count(h), 2, "no such field");
  out = lm_newbuffer(L);
  return lm_push_buffer(L, out, lm_canon_field(out, lm_head_field(h, (size_t)i - 1), kind));
}

/* head:cover("from:to", canonicalization) -> those fields, canonical */
static int head_cover(lua_State *L) {
  const struct lm_head *h = checkwhole(L);
  struct lm_str names = lm_checkstr(L, 2);
  enum lm_canon kind = checkcanon(L, 3);
  struct lm_buf *out = lm_newbuffer(L);
  return lm_push_buffer(L, out, lm_head_cover(h, names, kind, out));
}

static int head_free(lua_State *L) {
  struct head *h = lm_checkself(L);
  lm_head_free(h->head);
  h->head = NULL;
  h->whole = false;
  return 0;
}

/* --- bodies -------------------------------------------------------------------------------------- */

struct body {
  struct lm_hash *hash;
  struct lm_canon_body canon;
};

static bool into_hash(void *to, struct lm_str canonical) {
  return lm_hash_add(to, canonical);
}

/* sign_body(canonicalization, bare CR ends a line [, limit]) -> body */
static int sign_body(lua_State *L) {
  enum lm_canon kind = checkcanon(L, 1);
  enum lm_canon_cr cr = lua_toboolean(L, 2) ? LM_CANON_CR_ENDS_LINE : LM_CANON_CR_IS_TEXT;
  lua_Number limit = luaL_optnumber(L, 3, -1);
  bool limited = limit >= 0 && limit < 9007199254740992.0;
  struct body *b = lm_newobject(L, sizeof *b, lua_upvalueindex(1));
  lm_canon_body_start(&b->canon, kind, cr, limited ? (uint64_t)limit : UINT64_MAX);
  if ((b->hash = lm_hash_new(LM_SHA256)) == NULL) return no_memory(L);
  lm_canon_body_to(&b->canon, into_hash, b->hash);
  return 1;
}

static struct body *checkbody(lua_State *L) {
  struct body *b = lm_checkself(L);
  luaL_argcheck(L, b->hash != NULL, 1, "the body has ended");
  return b;
}

/* body:add(piece [, from]): the piece from its octet `from` on */
static int body_add(lua_State *L) {
  struct body *b = checkbody(L);
  struct lm_str piece = lm_checkstr(L, 2);
  lua_Integer from = luaL_optinteger(L, 3, 1);
  size_t skip = from < 1 ? 0 : (size_t)from - 1;
  checkbody(L); /* to make a string may collect, and a finalizer end it */
  if (skip > piece.n) skip = piece.n;
  piece = (struct lm_str){piece.p + skip, piece.n - skip};
  return lm_canon_body_add(&b->canon, piece) ? 0 : luaL_error(L, "no digest");
}

/* body:finish() -> SHA-256 of the canonical form, length of that form without regard to the limit */
static int body_finish(lua_State *L) {
  struct body *b = checkbody(L);
  unsigned char digest[LM_DIGEST_MAX];
  size_t n = lm_canon_body_end(&b->canon) ? lm_hash_end(b->hash, digest) : 0;
  lm_hash_free(b->hash);
  b->hash = NULL;
  if (n == 0) return luaL_error(L, "no digest");
  lua_pushlstring(L, (const char *)digest, n);
  lm_push_u64(L, b->canon.length);
  return 2;
}

static int body_free(lua_State *L) {
  struct body *b = lm_checkself(L);
  lm_hash_free(b->hash);
  b->hash = NULL;
  return 0;
}

/* --- keys ---------------------------------------------------------------------------------------- */

struct key {
  struct lm_key *key;
};

static const char *const kinds[] = {"rsa", "ed25519", NULL};

/* sign_key(PEM, DER or an Ed25519 seed) -> key | nil, why */
static int sign_key(lua_State *L) {
  struct lm_str text = lm_checkstr(L, 1);
  struct key *k = lm_newobject(L, sizeof *k, lua_upvalueindex(1));
  const char *why;
  k->key = lm_key_private(text, &why);
  return k->key ? 1 : refused(L, why);
}

/* sign_public("rsa" | "ed25519", octets) -> key | nil, why */
static int sign_public(lua_State *L) {
  int kind = luaL_checkoption(L, 1, NULL, kinds);
  struct lm_str octets = lm_checkstr(L, 2);
  struct key *k = lm_newobject(L, sizeof *k, lua_upvalueindex(1));
  const char *why;
  k->key = lm_key_public((enum lm_key_kind)kind, octets, &why);
  return k->key ? 1 : refused(L, why);
}

static const struct lm_key *checkkey(lua_State *L) {
  struct key *k = lm_checkself(L);
  luaL_argcheck(L, k->key != NULL, 1, "the key was given back");
  return k->key;
}

/* key:kind() -> "rsa" | "ed25519", bits */
static int key_kind(lua_State *L) {
  const struct lm_key *k = checkkey(L);
  lua_pushstring(L, kinds[lm_key_kind(k)]);
  lua_pushinteger(L, (lua_Integer)lm_key_bits(k));
  return 2;
}

/* key:sign(digest) -> signature */
static int key_sign(lua_State *L) {
  const struct lm_key *k = checkkey(L);
  unsigned char out[LM_SIGNATURE_MAX];
  size_t n = lm_key_sign(k, lm_checkstr(L, 2), out);
  if (n == 0) return luaL_error(L, "this key cannot sign");
  lua_pushlstring(L, (const char *)out, n);
  return 1;
}

/* key:verify(digest, signature) -> boolean */
static int key_verify(lua_State *L) {
  const struct lm_key *k = checkkey(L);
  lua_pushboolean(L, lm_key_verify(k, lm_checkstr(L, 2), lm_checkstr(L, 3)));
  return 1;
}

/* key:publish() -> the octets of p= in a key record */
static int key_publish(lua_State *L) {
  const struct lm_key *k = checkkey(L);
  struct lm_buf *out = lm_newbuffer(L);
  size_t n;
  unsigned char *octets = lm_key_publish(k, &n);
  bool made = octets && lm_buf_put(out, (const char *)octets, n);
  free(octets);
  return lm_push_buffer(L, out, made);
}

static int key_free(lua_State *L) {
  struct key *k = lm_checkself(L);
  lm_key_free(k->key);
  k->key = NULL;
  return 0;
}

/* --- opening ------------------------------------------------------------------------------------- */

static const luaL_Reg head_methods[] = {
    {"add", head_add},     {"finish", head_finish},       {"is_clean", head_is_clean},
    {"count", head_count}, {"field", head_field},         {"find", head_find},
    {"cover", head_cover}, {"canonical", head_canonical}, {NULL, NULL},
};
static const luaL_Reg head_meta[] = {{"__gc", head_free}, {NULL, NULL}};

static const luaL_Reg body_methods[] = {{"add", body_add}, {"finish", body_finish}, {NULL, NULL}};
static const luaL_Reg body_meta[] = {{"__gc", body_free}, {NULL, NULL}};

static const luaL_Reg key_methods[] = {
    {"kind", key_kind},       {"sign", key_sign}, {"verify", key_verify},
    {"publish", key_publish}, {NULL, NULL},
};
static const luaL_Reg key_meta[] = {{"__gc", key_free}, {NULL, NULL}};

static const luaL_Reg functions[] = {
    {"tags", tags}, {"unbase64", unbase64}, {"sha256", sha256}, {"sign_field", sign_field},
    {NULL, NULL},
};

/* core[name] = make, with the class under core[field] as its upvalue. */
static void set_maker(lua_State *L, const char *field, const char *name, lua_CFunction make) {
  lua_getfield(L, -1, field);
  lua_pushcclosure(L, make, 1);
  lua_setfield(L, -2, name);
}

void lm_open_sign(lua_State *L) {
  lm_newclass(L, "sign_head_class", "mail.sign_head", head_methods, head_meta);
  lm_newclass(L, "sign_body_class", "mail.sign_body", body_methods, body_meta);
  lm_newclass(L, "sign_key_class", "mail.sign_key", key_methods, key_meta);
  set_maker(L, "sign_head_class", "sign_head", sign_head);
  set_maker(L, "sign_body_class", "sign_body", sign_body);
  set_maker(L, "sign_key_class", "sign_key", sign_key);
  set_maker(L, "sign_key_class", "sign_public", sign_public);
  luaL_setfuncs(L, functions, 0);
}
