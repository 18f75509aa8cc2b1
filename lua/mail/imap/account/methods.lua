--- Which methods of a session an account has, and what each may do.
--
-- A row: where the table of options stands among the arguments, and `again`: true where a call whose connection died
-- may be made once more, because it changes nothing. What is in neither table belongs to one connection (`select`,
-- `idle`, `on`, `notify`, raw commands …): `account:with` lends one.
-- @module mail.imap.account.methods

local methods = {}

--- Methods that need no selected mailbox: run on any link.
methods.account = {
  list = { 2, again = true }, special_mailboxes = { 1, again = true }, status = { 3, again = true },
  namespace = { 1, again = true }, quota = { 2, again = true }, getquota = { 2, again = true },
  getquotaroot = { 2, again = true }, acl = { 2, again = true }, getacl = { 2, again = true },
  listrights = { 3, again = true }, myrights = { 2, again = true }, getmetadata = { 3, again = true },
  capability = { 1, again = true }, has = { again = true }, id = { 2, again = true }, noop = { 1, again = true },
  esearch = { 2, again = true }, urlfetch = { 2, again = true }, getjmapaccess = { 1, again = true },
  append = { 3, into = 1 }, create = { 2 }, delete = { 2 }, rename = { 3 }, subscribe = { 2 }, unsubscribe = { 2 },
  setquota = { 3 }, setacl = { 4 }, deleteacl = { 3 }, setmetadata = { 3 }, genurlauth = { 2 }, resetkey = { 2 },
}

--- Methods of a mailbox: run on a link that has it selected. `stream`: each message has the time of an answer;
-- `into`: where the name of a mailbox stands that it changes besides; `lock`: waits while another coroutine has the
-- mailbox by `with`.
methods.mailbox = {
  search = { 2, again = true }, sort = { 3, again = true }, thread = { 3, again = true },
  flag_sets = { 2, again = true, stream = true }, fetch_all = { 3, again = true, stream = true },
  check = { 1, again = true },
  store = { 3, lock = true }, copy = { 3, lock = true, into = 2 }, move = { 3, lock = true, into = 2 },
  expunge = { 2, lock = true }, replace = { 4, lock = true, into = 2 },
}

--- Those that are written out elsewhere.
methods.special = { fetch = true, messages = true }

return methods
