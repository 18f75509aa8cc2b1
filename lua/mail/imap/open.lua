--- Everything before an IMAP session is the user's: greeting, capabilities, STARTTLS, login.
-- @module mail.imap.open

local ascii = require "mail.ascii"
local auth = require "mail.auth"
local connect = require "mail.connect"
local events = require "mail.imap.events"
local features = require "mail.imap.features"
local refusal = require "mail.imap.refusal"
local run = require "mail.imap.run"

local open = {}

--- Mechanisms that are no SASL.
open.PSEUDO = { "LOGIN-COMMAND" }

-- Capabilities, where the server did not say them by itself.
local function capability(pump, deadline)
  if pump.session:capabilities_known() then return true end
  local id, err = run.begin(pump, "CAPABILITY", false)
  if not id then return nil, err end
  local ok
  ok, err = run.finish(pump, id, "CAPABILITY", nil, nil, deadline)
  if not ok then return nil, err end
  return true
end

local function starttls(pump, o, deadline)
  if not pump.session:has_capability("STARTTLS") then
    if o.tls == "opportunistic" then return true end
    return nil, pump:error("tls", "the server does not offer STARTTLS", { command = "STARTTLS" })
  end
  local id, err = run.begin(pump, "STARTTLS", false)
  if not id then return nil, err end
  local kind, a, b, c, d
  repeat
    kind, a, b, c, d = pump:wait(id, deadline)
  until kind ~= "untagged"
  if not kind then return nil, a end
  if kind ~= "starttls" then
    if o.tls == "opportunistic" then return true end
    return nil, run.refusal(pump, "STARTTLS", a, b, c, d, "tls")
  end
  local ok
  ok, err = connect.start_tls(pump, o)
  if not ok then return nil, err end
  return capability(pump, deadline)
end

-- The names behind AUTH= in the capabilities.
local function offered(session)
  local set = {}
  for name in pairs(session:capability_set()) do
    local mechanism = name:match("^AUTH=(.+)$")
    if mechanism then set[mechanism] = true end
  end
  return set
end

-- LOGIN, the command, where no SASL mechanism serves.
local function login_command(pump, deadline)
  return function(credentials)
    local id, err = pump:begin("begin_login", credentials.user or "", credentials.password or "")
    if not id then
      if err ~= pump.failure then err.command = "LOGIN" end
      return nil, err
    end
    local ok, value
    ok, err, value = run.finish(pump, id, "LOGIN", nil, nil, deadline)
    if ok then
      refusal.accepted(pump, err, value)
      return true
    end
    if err.kind == "rejected" then
      err.kind, err.message = "auth", ascii.without_controls(pump:masked("login failed: " .. (err.text or "")), " ")
    end
    return nil, err
  end
end

--- Logs in with `o` (user, password, mechanism …).
-- @return true; or nil, err: kind "auth" where the server refuses, "tls" where the password would
--   travel in clear
function open.login(pump, o, deadline)
  local session = pump.session
  local ok, err = auth.run(pump, o, {
    command = "AUTHENTICATE", deadline = deadline, offered = offered(session), initial = true,
    extra = {
      protocol = "imap", secure = pump:is_protected(),
      pseudo = { { name = "LOGIN-COMMAND", plaintext = true, offered = not session:has_capability("LOGINDISABLED") } },
    },
    pseudo = { ["LOGIN-COMMAND"] = login_command(pump, deadline) },
    begin = function(mechanism, initial) return pump:begin("begin_authenticate", mechanism, initial) end,
    result = function(status, code, value, text)
      if code == "ALERT" then events.dispatch(pump, { type = "alert", text = text }) end
      if status ~= "OK" then return nil, refusal.fields(pump, {}, code, value, text) end
      refusal.accepted(pump, code, value)
      return true
    end,
  })
  if not pump.log then pump.secrets = nil end
  if not ok then return nil, err end
  pump.user = o.authzid or o.user
  ok, err = capability(pump, deadline)
  if not ok then return nil, err end
  return features.after_login(pump, deadline)
end

local function wants_login(o)
  return o.login ~= false and (o.user or o.token or o.mechanism)
end

--- From the greeting to the login; `mail.connect` calls it under the deadline of the whole.
-- @return true; or nil, err
function open.greet(pump, o, deadline)
  pump.unsolicited = events.unsolicited
  pump.allow_plaintext_login = o.allow_plaintext_login
  features.wish(pump, o)
  local kind, status, code, value, text = pump:wait(0, deadline)
  if not kind then return nil, status end
  if kind == "bye" then
    return nil, pump:error("rejected", "the server refuses the connection: " .. tostring(status),
      refusal.fields(pump, { command = "greeting", temporary = code ~= "REFERRAL" }, code, value, status))
  end
  if code == "ALERT" then events.dispatch(pump, { type = "alert", text = text }) end
  pump.greeting = text
  local preauth = status == "PREAUTH"
  if preauth and o.tls == "starttls" then
    return nil, pump:error("tls", "the server is logged in before TLS (PREAUTH); STARTTLS was demanded", {
      command = "greeting",
    })
  end
  local ok, err = capability(pump, deadline)
  if ok and not preauth and (o.tls == "starttls" or o.tls == "opportunistic") then
    ok, err = starttls(pump, o, deadline)
  end
  if ok and preauth then
    ok, err = features.after_login(pump, deadline)
  elseif ok and wants_login(o) then
    ok, err = open.login(pump, o, deadline)
  end
  return ok, err
end

return open
