--- What the examples share: options and account from the command line and the environment, one-line errors.
--
-- No part of the library. The help text is the description of the options: a line "  --to ADDRESS..." is an
-- option that may be given several times, "  --port N" one with a value, "  --unseen" one without.
local support = {}

local program = arg[0]:match "[^/\\]*$"

local ACCOUNT = [[
  --host NAME        the server (or MAIL_HOST)
  --port N           default: the standard port for --tls (or MAIL_PORT)
  --tls MODE         implicit, starttls or none; default: what the port is known for (or MAIL_TLS)
  --user NAME        (or MAIL_USER)
  --ca-file FILE     trust these certificates (PEM), not the system's (or MAIL_CA_FILE)
  --log              show the conversation on stderr, secrets as ***
  --help
The password comes from MAIL_PASSWORD, or is asked for on the terminal.
]]

--- Ends the program with one line on stderr. Status 2: it was called in a wrong way.
function support.die(message, status)
  io.stdout:flush()
  io.stderr:write(program, ": ", tostring(message), "\n")
  os.exit(status or 1)
end
local die = support.die

--- The options that `help` describes, as a table; words that are no options are its array part.
function support.options(help, most_words)
  help = help:gsub("ACCOUNT\n", (ACCOUNT:gsub("%%", "%%%%")))
  local kinds, o, i = {}, {}, 1
  for name, value, many in help:gmatch "\n  %-%-([%l-]+) ?(%u*)(%.*)" do
    local variable = "MAIL_" .. name:upper():gsub("%-", "_")
    kinds[name] = many ~= "" and "list" or value ~= "" and "value" or "flag"
    o[name] = many ~= "" and {} or help:find("(or " .. variable .. ")", 1, true) and os.getenv(variable) or nil
    if o[name] == "" then o[name] = nil end
  end
  while arg[i] do
    local name, value = arg[i]:match "^%-%-([^=]+)=?(.*)$"
    local kind, attached = kinds[name], name and arg[i]:find("=", 1, true)
    if arg[i] == "-h" or name == "help" then
      io.write(help)
      os.exit(0)
    elseif kind == "flag" and not attached then
      o[name] = true
    elseif kind == "value" or kind == "list" then
      if not attached then i, value = i + 1, arg[i + 1] end
      if not value then die("--" .. name .. " needs a value; see --help", 2) end
      if kind == "list" then table.insert(o[name], value) else o[name] = value end
    elseif arg[i]:find "^%-." or #o == most_words then
      die(("unexpected '%s'; see --help"):format(arg[i]), 2)
    else
      o[#o + 1] = arg[i]
    end
    i = i + 1
  end
  return o
end

--- A whole number of at least `min` from an option's text; `default` where it was not given.
function support.number(o, name, min, default)
  if not o[name] then return default end
  local n = tonumber(o[name])
  if n and n >= min and n % 1 == 0 then return n end
  die(("--%s must be a whole number from %d on"):format(name, min), 2)
end

--- From MAIL_PASSWORD, else from the terminal without echo; never from the command line, which all can read.
function support.password()
  local password = os.getenv "MAIL_PASSWORD"
  if password then return password end
  local shell = io.popen [[(: < /dev/tty) 2> /dev/null || exit; exec < /dev/tty; printf 'Password: ' > /dev/tty
    trap 'stty echo' EXIT; trap exit INT; stty -echo; IFS= read -r line; echo > /dev/tty; printf %s "$line"]]
  password = shell:read "*a"
  shell:close()
  if password == "" then die("no password: set MAIL_PASSWORD", 2) end
  return password
end

--- What `connect` takes, from the options.
function support.account(o)
  local port = support.number(o, "port", 1)
  if port and port > 65535 then die("--port must be at most 65535", 2) end
  if not o.host then die("no server: give --host or MAIL_HOST; see --help", 2) end
  if o.tls and not ("implicit starttls none"):find(o.tls, 1, true) then
    die("--tls must be implicit, starttls or none", 2)
  end
  return {
    host = o.host, port = port, tls = o.tls, user = o.user, password = o.user and support.password(),
    ssl = { ca_file = o["ca-file"] }, log = o.log and io.stderr or nil,
  }
end

--- Text from outside, made harmless for a terminal and put on one line; with `width`, cut or filled to that.
function support.clean(text, width)
  text = tostring(text or ""):gsub("\194[\128-\159]", "?"):gsub("%c", " ")
  if not width then return text end
  local characters = {}
  for character in text:gmatch "[^\128-\191][\128-\191]*" do characters[#characters + 1] = character end
  for i = #characters + 1, width do characters[i] = " " end
  return table.concat(characters, "", 1, width)
end

--- Writes one line, and ends the program where that fails.
function support.say(format, ...)
  if not io.write(format:format(...), "\n") then die "cannot write the output" end
end

--- Opens a file, or ends the program.
function support.open(path, mode)
  local file, why = io.open(path, mode)
  return file or die(why)
end

--- `assert` for `nil, err`; that of Lua 5.1 takes no error but a string.
function support.try(ok, ...)
  if not ok then error((...), 0) end
  return ok, ...
end

--- Runs the program: what `try` raises becomes one line and status 1; Ctrl-C ends it quietly.
function support.main(fn)
  local ok, err = xpcall(fn, function(err)
    return type(err) == "string" and err:find "^[^:]+%.lua:%d+:" and debug.traceback(err, 2) or err
  end)
  if not ok and tostring(err):find "interrupted!" then os.exit(130) end
  if not ok then die(err) end
  if not io.stdout:flush() then die "cannot write the output" end
  os.exit(err or 0)
end

return support
