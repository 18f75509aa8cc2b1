--- What both sides agree on beside mail: ENABLE (RFC 5161), ID (RFC 2971), COMPRESS (RFC 4978), LANGUAGE
-- (RFC 5255), UNAUTHENTICATE (RFC 8437); and what of it is done behind every login.
-- @module mail.imap.features

local ascii = require "mail.ascii"
local run = require "mail.imap.run"

local features = {}

--- Options of `mail.imap.connect`: `compress` (where the server offers it), `enable` (names, those that are
-- offered), `id` (fields to send, or true for none).
features.OPTIONS = { compress = "boolean?", enable = "table?", id = "table|boolean?" }

-- RFC 2971 §3.3
local ID_FIELDS, ID_NAME, ID_VALUE = 30, 30, 1024

-- Raises unless these are fields of ID.
local function check_fields(fields, what, level)
  for name, value in pairs(fields) do
    if type(name) ~= "string" or (type(value) ~= "string" and value ~= false) then
      error(what .. ": fields must be strings (or false for NIL)", level + 1)
    end
  end
end

--- Raises at the caller of connect where its options make no sense.
function features.check(o, what, level)
  local names = o.enable or {}
  for i = 1, #names do
    if type(names[i]) ~= "string" or not names[i]:find "^[A-Za-z0-9=+/.%-]+$" then
      error(("%s: option 'enable' must be an array of capabilities"):format(what), level + 1)
    end
  end
  if type(o.id) == "table" then check_fields(o.id, what .. ": option 'id'", level + 1) end
end

-- --- ENABLE -----------------------------------------------------------------------------------------

local function can_enable(session)
  return session:has_capability "ENABLE" or session:has_capability "IMAP4REV2"
end

-- UTF8=ONLY says that UTF8=ACCEPT must be enabled (RFC 6855 §6).
local function offered(session, name)
  return session:has_capability(name) or (name == "UTF8=ACCEPT" and session:has_capability "UTF8=ONLY")
end

--- Enables capabilities, whatever the server says about offering them.
-- @treturn table set of what the server has enabled; or nil, err
function features.enable(pump, names, options, deadline)
  local id, err = run.begin(pump, "ENABLE", false, "text", table.concat(names, " "))
  if not id then return nil, err end
  local set = {}
  local ok, why = run.finish(pump, id, "ENABLE", options, function(name, _, value)
    if name ~= "ENABLED" then return end
    for one in pairs(value) do set[one] = true end
  end, deadline)
  if not ok then return nil, why end
  pump.enabled = pump.enabled or {}
  for name in pairs(set) do pump.enabled[name] = true end
  return set
end

-- --- COMPRESS ---------------------------------------------------------------------------------------

--- Compresses both ways from here on.
-- @return true; or nil, err: kind "rejected" where the server refuses
function features.compress(pump, options, deadline)
  local id, err = run.begin(pump, "COMPRESS", false, "text", "DEFLATE")
  if not id then return nil, err end
  deadline = deadline or pump:deadline(options)
  local kind, a, b, c, d
  repeat
    kind, a, b, c, d = pump:wait(id, deadline)
  until kind ~= "untagged"
  if not kind then
    if a ~= pump.failure then a.command = a.command or "COMPRESS" end
    return nil, a
  elseif kind ~= "compress" then
    return nil, run.refusal(pump, "COMPRESS", a, b, c, d)
  end
  local ok = pump.session:start_deflate()
  if not ok then return pump:broken() end
  run.push(pump) -- what others have queued meanwhile
  return true
end

-- --- ID ---------------------------------------------------------------------------------------------

local function sorted(fields)
  local names = {}
  for name in pairs(fields) do names[#names + 1] = name end
  table.sort(names, ascii.before)
  return names
end

-- The typed arguments of ID; or nil and why they cannot be sent.
local function id_arguments(fields)
  local names = sorted(fields)
  if #names == 0 then return { "text", "NIL" } end
  if #names > ID_FIELDS then return nil, "more than 30 fields" end
  local out = { "open", true }
  for _, name in ipairs(names) do
    local value = fields[name]
    if #name > ID_NAME then return nil, ("the name '%s' is longer than 30 octets"):format(name) end
    if value and #value > ID_VALUE then return nil, ("the value of '%s' is longer than 1024 octets"):format(name) end
    if (name .. (value or "")):find "[%z\r\n]" then return nil, ("CR, LF or NUL in the field '%s'"):format(name) end
    out[#out + 1], out[#out + 2] = "string", name
    out[#out + 1], out[#out + 2] = value and "string" or "text", value or "NIL"
  end
  out[#out + 1], out[#out + 2] = "close", true
  return out
end

-- {"name", "Cyrus", …} as a table; names in lower case.
local function id_fields(list)
  local fields = {}
  for i = 1, type(list) == "table" and #list or 0, 2 do
    if type(list[i]) == "string" and type(list[i + 1]) == "string" then fields[ascii.lower(list[i])] = list[i + 1] end
  end
  return fields
end

--- Tells the server who we are.
-- @treturn table what it says of itself, empty where it says nothing; or nil, err
function features.id(pump, fields, options, deadline)
  local arguments, why = id_arguments(fields)
  if not arguments then return nil, pump:error("invalid", why, { command = "ID" }) end
  local id, err = run.begin(pump, "ID", false, run.unpack(arguments))
  if not id then return nil, err end
  local said = {}
  local ok, reason = run.finish(pump, id, "ID", options, function(name, _, value, ...)
    if name == "ID" then
      said = id_fields(type(value) == "table" and value[1])
    else
      run.news(pump, name, nil, value, ...)
    end
  end, deadline)
  if not ok then return nil, reason end
  return said
end

-- --- behind the login -------------------------------------------------------------------------------

-- What a server refuses here is no reason to do without the session.
local function unless_refused(result, err)
  if result or err.kind == "rejected" then return true end
  return nil, err
end

--- Keeps what `connect` was asked for, for this login and those after UNAUTHENTICATE.
function features.wish(pump, o)
  if o.compress or o.enable or o.id then pump.wishes = { compress = o.compress, enable = o.enable, id = o.id } end
end

-- UTF8=ACCEPT always: names and headers need no coding then. IMAP4rev2 only where it is asked for: what it brings
-- works without, and a server that has both is better tried in the older one.
local function wanted(pump)
  local session, names = pump.session, {}
  if not can_enable(session) then return names end
  if offered(session, "UTF8=ACCEPT") then names[1] = "UTF8=ACCEPT" end
  for _, name in ipairs(pump.wishes and pump.wishes.enable or {}) do
    name = ascii.upper(name)
    if name ~= names[1] and offered(session, name) then names[#names + 1] = name end
  end
  return names
end

--- ID, ENABLE and COMPRESS, as far as the server offers them.
-- @return true; or nil, err where the session died
function features.after_login(pump, deadline)
  local wishes, session = pump.wishes or {}, pump.session
  local ok, err = true, nil
  if wishes.id and session:has_capability "ID" then
    ok, err = unless_refused(features.id(pump, wishes.id ~= true and wishes.id or {}, nil, deadline))
  end
  local names = ok and wanted(pump) or {}
  if ok and #names > 0 then ok, err = unless_refused(features.enable(pump, names, nil, deadline)) end
  if ok and wishes.compress and session:has_capability "COMPRESS=DEFLATE" and not session:deflate_count() then
    ok, err = unless_refused(features.compress(pump, nil, deadline))
  end
  return ok, err
end

-- --- methods ----------------------------------------------------------------------------------------

--- Methods of the session.
features.methods = {}

--- Switches extensions on (RFC 5161). What the server does not offer is kind "unsupported".
-- @tparam string|table names `"QRESYNC"`, `{ "IMAP4rev2", "UTF8=ACCEPT" }`
-- @tparam[opt] table options `timeout`
-- @treturn table set of what was enabled now; or nil, err
function features.methods:enable(names, options)
  if type(names) == "string" then names = { names } end
  if type(names) ~= "table" or #names == 0 then
    error("imap:enable: the name of a capability or an array of them expected", 2)
  end
  features.check({ enable = names }, "imap:enable", 2)
  run.options(options, "enable")
  local pump = run.pump(self, "enable")
  if pump.failure then return nil, pump.failure end
  if not can_enable(self) then return nil, run.unsupported(pump, "ENABLE") end
  for _, name in ipairs(names) do
    if not offered(self, ascii.upper(name)) then return nil, run.unsupported(pump, "ENABLE", ascii.upper(name)) end
  end
  return features.enable(pump, names, options)
end

--- Compresses both directions (RFC 4978); `connect{compress = true}` does it behind the login. Costs some 40 KiB
-- for a session that rests.
-- @tparam[opt] table options `timeout`
-- @return true, also where it is on already; or nil, err
function features.methods:compress(options)
  run.options(options, "compress")
  local pump = run.pump(self, "compress")
  if pump.failure then return nil, pump.failure end
  if self:deflate_count() then return true end
  if not self:has_capability "COMPRESS=DEFLATE" then
    return nil, run.unsupported(pump, "COMPRESS", "COMPRESS=DEFLATE")
  end
  return features.compress(pump, options)
end

--- Tells the server who we are, and hears who it is (RFC 2971).
-- @tparam[opt] table fields `{ name = "lua-mail", version = "1" }`; at most 30, names of 30 octets, values of 1024
-- @tparam[opt] table options `timeout`
-- @treturn table its fields, names in lower case; or nil, err
function features.methods:id(fields, options)
  if fields ~= nil and type(fields) ~= "table" then
    error("imap:id: a table of fields expected, got " .. type(fields), 2)
  end
  fields = fields or {}
  check_fields(fields, "imap:id", 2)
  run.options(options, "id")
  local pump = run.pump(self, "id")
  if pump.failure then return nil, pump.failure end
  if not self:has_capability "ID" then return nil, run.unsupported(pump, "ID") end
  return features.id(pump, fields, options)
end

--- The languages of the server's words, or the choice of one (RFC 5255 §3).
-- @tparam[opt] string|table tags in order of preference, `"de"`, `{ "fr-CA", "fr" }`; without: which there are
-- @tparam[opt] table options `timeout`
-- @treturn table array of tags: those there are, or the one in use from now on; or nil, err
function features.methods:language(tags, options)
  if type(tags) == "string" then tags = { tags } end
  if tags ~= nil and type(tags) ~= "table" then
    error("imap:language: a language tag or an array of them expected, got " .. type(tags), 2)
  end
  local arguments = {}
  for _, tag in ipairs(tags or {}) do
    if type(tag) ~= "string" then error("imap:language: a tag must be a string, got " .. type(tag), 2) end
    arguments[#arguments + 1], arguments[#arguments + 2] = "astring", tag
  end
  run.options(options, "language")
  local pump = run.pump(self, "language")
  if pump.failure then return nil, pump.failure end
  if not self:has_capability "LANGUAGE" then return nil, run.unsupported(pump, "LANGUAGE") end
  local found = {}
  local ok, err = run.call(pump, options, function(name, number, value, ...)
    if name == "LANGUAGE" and type(value) == "table" then
      found = type(value[1]) == "table" and value[1] or value
    elseif name ~= "NAMESPACE" then -- the same prefixes in another language
      run.news(pump, name, number, value, ...)
    end
  end, "LANGUAGE", run.unpack(arguments))
  if not ok then return nil, err end
  return found
end

--- Leaves the account and keeps the connection; `login` or `authenticate` enter another (RFC 8437).
-- @tparam[opt] table options `timeout`
-- @return true; or nil, err
function features.methods:unauthenticate(options)
  run.options(options, "unauthenticate")
  local pump = run.pump(self, "unauthenticate")
  if pump.failure then return nil, pump.failure end
  if not self:has_capability "UNAUTHENTICATE" then return nil, run.unsupported(pump, "UNAUTHENTICATE") end
  if self:deflate_count() then
    -- It would end with this command, in the middle of a stream (RFC 8437 §4.1).
    return nil, pump:error("invalid", "a compressed session cannot be left for another login",
      { command = "UNAUTHENTICATE" })
  end
  local ok, err = run.call(pump, options, nil, "UNAUTHENTICATE")
  if not ok then return nil, err end
  pump.mailbox, pump.enabled, pump.referral, pump.notify = nil, nil, nil, nil
  if self:capabilities_known() then return true end
  ok, err = run.call(pump, options, nil, "CAPABILITY")
  if not ok then return nil, err end
  return true
end

return features
