/*
** mail.c: luaopen_mail_core, the only exported symbol.
**
** Each part of the binding adds its functions and classes to one table.
*/
#include "bind/bind.h"
#include "bind/open.h"

#if defined(__GNUC__)
#define LM_EXPORT __attribute__((visibility("default")))
#else
#define LM_EXPORT
#endif

LM_EXPORT int luaopen_mail_core(lua_State *L);

int luaopen_mail_core(lua_State *L) {
  lua_newtable(L);
  lm_open_buffer(L);
  lm_open_box(L);
  lm_open_want(L);
  lm_open_os(L);
  lm_open_file(L);
  lm_open_mime(L);
  lm_open_message(L);
  lm_open_reader(L);
  lm_open_compose(L);
  lm_open_text(L);
  lm_open_dial(L);
  lm_open_child(L);
  lm_open_tls(L);
  lm_open_sasl(L);
  lm_open_sign(L);
  lm_open_cms(L);
  lm_open_pop3c(L);
  lm_open_listing(L);
  lm_open_smtpc(L);
  lm_open_imapc(L);
  lm_open_uidset(L);
  lm_open_stream(L);
  return 1;
}
