--- Where a message came from and which list sent it: Received (RFC 5321 §4.4), List-* (RFC 2369, 2919, 8058).
--
-- Both are what others wrote: nothing of it is proved. Values are read by clauses and left out where they
-- make no sense.
-- @module mail.message.trace

local ascii = require "mail.ascii"
local core = require "mail.core"
local part = require "mail.message.part"

local Part = part.methods

-- --- Received -------------------------------------------------------------------------------------

local CLAUSES = { from = "from", by = "by", via = "via", with = "with", id = "id", ["for"] = "recipient" }

-- What stands behind the comment that begins at `at`.
local function comment_end(text, at)
  local depth, n = 0, #text
  repeat
    local stop = text:find("[()\\]", at)
    if not stop then return n + 1 end
    local c = text:sub(stop, stop)
    at = stop + (c == "\\" and 2 or 1)
    if c == "(" then depth = depth + 1 elseif c == ")" then depth = depth - 1 end
  until depth == 0 or at > n
  return at
end

-- Words and comments of the clauses, in order: `fn(word)` or `fn(nil, comment)`.
local function each_token(text, fn)
  local at, n = 1, #text
  while at <= n do
    at = text:find("[^ \t;]", at)
    if not at then return end
    if text:byte(at) == 40 then
      local stop = comment_end(text, at)
      fn(nil, text:sub(at + 1, stop - 2))
      at = stop
    else
      local _, stop = text:find("^[^ \t(;]+", at)
      fn(text:sub(at, stop))
      at = stop + 1
    end
  end
end

-- An address in brackets: "[192.0.2.1]", "[IPv6:2001:db8::1]".
local function network_address(text)
  local found = text:match "%[([A-Za-z0-9.:]+)%]"
  return found and (found:match "^[Ii][Pp][Vv]6:(.+)$" or found)
end

-- stamp = From-domain By-domain Opt-info ";" date-time
local function received(value)
  local clauses, date = value:match "^(.*);(.*)$"
  local hop, key = { value = value, date = date and core.date_parse(date) or nil }, nil
  each_token(clauses or value, function(word, comment)
    if comment then
      if key == "from" then hop.address = hop.address or network_address(comment) end
      return
    end
    local clause = CLAUSES[ascii.lower(word)]
    if clause and hop[clause] == nil then
      key, hop[clause] = clause, false
    elseif key and hop[key] == false then
      hop[key] = word
    end
  end)
  for _, clause in pairs(CLAUSES) do hop[clause] = hop[clause] or nil end
  if hop.from then hop.address = hop.address or network_address(hop.from) end
  if hop.recipient then hop.recipient = hop.recipient:match "^<(.*)>$" or hop.recipient end
  return hop
end

--- The way that the message took: its Received fields, the newest first, as they stand.
-- @treturn table array of `{from=, address= (of the network, as `by` saw it), by=, via=, with="ESMTPS", id=,
--   recipient=, date= (epoch), value= (the whole text)}`; each is nil where it is not told
function Part:received()
  local list = self:header_all "Received"
  for i, value in ipairs(list) do list[i] = received(value) end
  return list
end

-- --- lists ----------------------------------------------------------------------------------------

local LIST = { "help", "unsubscribe", "subscribe", "post", "owner", "archive" }

-- URLs in their brackets, the preferred first.
local function urls(value)
  local list = {}
  for url in value:gmatch "<([^<>]*)>" do
    url = url:gsub("[ \t]", "")
    if url ~= "" then list[#list + 1] = url end
  end
  return list
end

--- What the fields of a mailing list say.
-- @treturn table `{id="news.example.com", name= (what stands before the id), help=, unsubscribe=, subscribe=,
--   post= (false: nobody may), owner=, archive= (each an array of URLs, nil where it is not told),
--   one_click= (true where a POST to the first https URL of `unsubscribe` is enough)}`; nil where there is none
function Part:list()
  local out, any = {}, false
  local id = self:header "List-Id"
  if id then
    local name, inside = id:match "^(.*)<([^<>]*)>[ \t]*$"
    out.id, any = inside or id, true
    name = name and name:match "^[ \t\"]*([^ \t\"].*)$"
    out.name = name and name:match "^(.*[^ \t\"])" or nil
  end
  for _, field in ipairs(LIST) do
    local value = self:header("List-" .. field)
    if value then
      out[field], any = urls(value), true
      if field == "post" and ascii.lower(value):find "^[ \t]*no%f[^a-z]" then out.post = false end
    end
  end
  if not any then return nil end
  local click = self:header "List-Unsubscribe-Post"
  out.one_click = click ~= nil and ascii.lower(click):find("list-unsubscribe=one-click", 1, true) ~= nil
  return out
end
