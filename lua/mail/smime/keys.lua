--- Certificates, private keys and trust for S/MIME: from text, or from files that it names.
-- @module mail.smime.keys

local core = require "mail.core"
local Err = require "mail.err"

local keys = {}

-- How long the system's trusted certificates are used before they are read again (some 40 ms).
local TRUST_SECONDS = 300

local function invalid(message, ...)
  return nil, Err.new { kind = "invalid", message = message:format(...) }
end

local function read_file(path, what)
  local file, why = io.open(path, "rb")
  local text
  if file then
    text, why = file:read "*a"
    file:close()
  end
  if text then return text end
  return nil, Err.new { kind = "io", message = ("%s cannot be read: %s"):format(what, tostring(why)) }
end

-- A path is what neither PEM nor DER looks like.
local function text_of(given, what)
  if given:find "%-%-%-%-%-BEGIN " then return given end
  if given:byte() == 0x30 and given:find "[%z\1-\8\128-\255]" then return given end
  if given == "" or given:find "[%z\1-\31\127]" then
    return invalid("%s: neither PEM nor DER nor a file's name", what)
  end
  return read_file(given, what)
end

-- Text, or a table with a certificate in it, as verdicts have them; or an array of these.
local function each_text(given, what, level)
  if type(given) == "string" then return { given } end
  if type(given) == "table" and type(given.certificate) == "string" then return { given.certificate } end
  local list = {}
  for i, one in ipairs(type(given) == "table" and given or {}) do
    local text = type(one) == "table" and one.certificate or one
    if type(text) ~= "string" then error(("%s: certificates must be text"):format(what), level + 1) end
    list[i] = text
  end
  return list
end

local function add(list, given, what)
  local text, err = text_of(given, what)
  if not text then return nil, err end
  local ok, why = list:add(text)
  if not ok then return invalid("%s: %s", what, why) end
  return list
end

--- Certificates, or revocation lists.
-- @param given PEM or DER text, a file's name, a table with `certificate`, or an array of these; nil: none
-- @tparam string what the option, for errors
-- @tparam number level whose line is blamed: 1 is the caller
-- @treturn userdata certificates, or nil where none were given; or nil, err
function keys.certificates(given, what, level)
  if given == nil then return nil end
  local list = core.cms_certs()
  for _, text in ipairs(each_text(given, what, level + 1)) do
    local ok, err = add(list, text, what)
    if not ok then return nil, err end
  end
  return list
end

--- As `certificates`, as an array: of each text only the first, so that a file with a chain is one recipient.
-- @param given as of `certificates`
-- @tparam string what the option, for errors
-- @tparam number level whose line is blamed: 1 is the caller
-- @treturn table array of certificates; or nil, err
function keys.recipients(given, what, level)
  local all = {}
  for i, text in ipairs(each_text(given, what, level + 1)) do
    local list, err = add(core.cms_certs(), text, what)
    if not list then return nil, err end
    if list:count() == 0 then return invalid("%s: there is no certificate in it", what) end
    all[i] = list
  end
  return all
end

--- What the options `certificate`, `key`, `pkcs12` and `passphrase` must be, for `mail.want`.
keys.OPTIONS = { certificate = "string?", key = "string?", pkcs12 = "string?", passphrase = "string?" }

local function misuse(what, options, level)
  local whole = options.key and not options.pkcs12 or options.pkcs12 and not options.key and not options.certificate
  if not whole then error(what .. ": 'key' with its 'certificate', or 'pkcs12', is needed", level + 1) end
end

--- A private key with its certificate.
-- @tparam table options `key` and `certificate`, or `pkcs12`; `passphrase`
-- @tparam string what the call, for errors
-- @tparam number level whose line is blamed: 1 is the caller
-- @treturn userdata identity; or nil, err (kind "io", "invalid")
function keys.identity(options, what, level)
  misuse(what, options, level + 1)
  local secret = { passphrase = options.passphrase }
  for _, name in ipairs { "certificate", "key", "pkcs12" } do
    if options[name] then
      local text, err = text_of(options[name], what .. ": " .. name)
      if not text then return nil, err end
      secret[name] = text
    end
  end
  local identity, why = core.cms_identity(secret)
  if not identity then return invalid("%s: %s", what, why) end
  return identity
end

local system, system_read

-- The system's trusted certificates, kept for a while.
local function system_trust()
  local now = os.time()
  if not system or now - system_read >= TRUST_SECONDS or now < system_read then
    local why
    system, why = core.cms_trust(nil)
    system_read = now
    if not system then return invalid("the system's trusted certificates: %s", why) end
  end
  return system
end

--- Whom to trust.
-- @param ca as of `certificates`; nil: whom the system trusts, as in TLS
-- @tparam string what the option, for errors
-- @tparam number level whose line is blamed: 1 is the caller
-- @treturn userdata trust; or nil, err
function keys.trust(ca, what, level)
  if ca == nil then return system_trust() end
  local list, err = keys.certificates(ca, what, level + 1)
  if not list then return nil, err end
  local trust, why = core.cms_trust(list)
  if not trust then return invalid("%s: %s", what, why) end
  return trust
end

return keys
