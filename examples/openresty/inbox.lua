--- The inbox: one IMAP session for each worker, which watches (IDLE) and which all its requests share.
local cjson_found, cjson = pcall(require, "cjson.safe") -- a part of OpenResty, not of Debian's nginx
local encode = cjson_found and cjson.encode or require "json"
local mail = require "mail"
local settings = require "settings"

local inbox = {}

local LATEST = 10 -- messages that are shown

-- The last messages of the selected mailbox, the newest first.
local function newest(imap, exists)
  local list = {}
  if exists == 0 then return list end
  local from = math.max(1, exists - LATEST + 1)
  for m in assert(imap:fetch(from .. ":*", { "uid", "flags", "internaldate", "envelope" }, { seq = true })) do
    local sender = m.envelope.from and m.envelope.from[1] or {}
    table.insert(list, 1, {
      uid = m.uid, seen = m.flags["\\Seen"] or false, date = m.internaldate, subject = m.envelope.subject or "",
      from = sender.name or sender.address or "",
    })
  end
  return list
end

-- The body of the watcher: it has the session for as long as that lives. What fails in it is logged, and it begins
-- anew with another session.
local function watch(imap)
  local latest = ngx.shared.latest
  local box = assert(imap:select("INBOX", { readonly = true }))
  local exists = box.exists
  local function show() latest:set("messages", encode(newest(imap, exists))) end
  show()
  for event in imap:idle() do
    if event.type == "exists" then
      exists = event.exists
      show()
    elseif event.type == "expunge" then
      exists = exists - 1
      show()
    elseif event.type == "flags" then
      show()
    end
  end
end

--- Begins the worker's watcher; to be called in init_worker_by_lua.
function inbox.begin()
  local owner, err = mail.resty.owner("inbox", { imap = settings.imap, timeout = settings.patience }, watch)
  if not owner then ngx.log(ngx.ERR, tostring(err)) end
  inbox.owner = owner
end

local function fail(err)
  ngx.log(ngx.ERR, "inbox: ", tostring(err))
  ngx.status = 502
  ngx.print(encode { error = "the mail server gave no answer" })
end

--- What the server says now.
function inbox.list()
  local list, err = inbox.owner:call(function(imap)
    local status, why = imap:status("INBOX", { "messages", "unseen" })
    if not status then return nil, why end
    return { messages = status.messages, unseen = status.unseen, newest = newest(imap, status.messages) }
  end)
  if not list then return fail(err) end
  ngx.print(encode(list))
end

--- What the watcher has seen last.
function inbox.latest()
  ngx.print(ngx.shared.latest:get "messages" or "[]")
end

return inbox
