--- Sorts the mail of two accounts by ten rules, and goes on as new mail comes: both watched in one process.
package.path = (arg[0]:match "^(.*)[/\\]" or ".") .. "/?.lua;" .. package.path
local mail = require "mail"
local support = require "support"

local o = support.options([[
usage: filter.lua [options] WORK HOME

Applies the rules in this file to the INBOX of two accounts, then again whenever mail comes. WORK and HOME are URLs,
imaps://user:password@host[:port]; an account without a password in its URL gets MAIL_PASSWORD.
  --once             apply the rules once, and end
  --dry-run          only tell what would be done
  --ca-file FILE     trust these certificates (PEM), not the system's (or MAIL_CA_FILE)
  --log              show the conversation on stderr, secrets as ***
  --help
]], 2)

-- --- the rules ----------------------------------------------------------------------------------------
--
-- mail_with { … } are messages by criteria, found by the server when the rule is applied; "+" joins such
-- sets, "*" takes what is in both, "-" what is in the first alone. What a rule does with its messages is
-- one of: move, copy (to a mailbox), flag, unflag, delete.

local DAY = 86400
local RULES = {}

function RULES.work(mail_with)
  local from_people = mail_with { header = { ["In-Reply-To"] = true } } + mail_with { flagged = true }
  local builds = mail_with { from = "builds@", undeleted = true }
  return {
    { "mailing lists", mail_with { header = { ["List-Id"] = true } } - from_people, move = "Lists" },
    { "builds that passed", builds * { subject = "passed" }, delete = true },
    { "builds that failed", builds - { subject = "passed" } - { keyword = "build" }, flag = { "\\Flagged", "build" } },
    { "meetings that are over", mail_with { subject = "Invitation:", sent_before = os.time() - DAY }, move = "Past" },
    { "read and old", mail_with { seen = true, older = 30 * DAY } - mail_with { flagged = true }, move = "Archive" },
  }
end

function RULES.home(mail_with)
  local shops = mail_with { from = "@shop.example" } + mail_with { from = "@books.example" }
  local bills = shops * mail_with { ["or"] = { { subject = "invoice" }, { subject = "Rechnung für" } } }
  local family = mail_with { from = "grandma@" } + mail_with { from = "uncle@" }
  return {
    { "bills are copied", bills - { keyword = "filed" }, copy = "Bills" },
    { "and marked as filed", bills - { keyword = "filed" }, flag = "filed" },
    { "the rest of the shops", shops - bills, move = "Shops" },
    { "family first", family * { unflagged = true, unseen = true }, flag = "\\Flagged" },
    { "huge and not ours", mail_with { larger = 5e6 } - family - bills, move = "Large" },
  }
end

-- --- applying them ------------------------------------------------------------------------------------

local ACTIONS = { "move", "copy", "flag", "unflag", "delete" }

-- What a rule does with what it has found; nil, err where that fails. A mailbox that is not there is made.
local function act(imap, rule, found)
  for _, action in ipairs(ACTIONS) do
    local argument = rule[action]
    if argument then
      local done, err = found[action](found, action ~= "delete" and argument or nil)
      if not done and err.response_code == "TRYCREATE" and imap:create(argument) then
        done, err = found[action](found, argument)
      end
      return done, err
    end
  end
  support.die(("rule '%s' does nothing"):format(rule[1]), 2)
end

-- Applies the rules of an account in their order; nil, err where the connection fails.
local function apply(name, imap)
  local rules = RULES[name](function(criteria) return imap:messages(criteria) end)
  for _, rule in ipairs(rules) do
    local found, err = rule[2]:uids()
    local done = found
    if found and #found > 0 and not o["dry-run"] then done, err = act(imap, rule, found) end
    if found and #found > 0 and done then support.say("%s: %s: %d", name, rule[1], #found) end
    if not done and err.kind ~= "rejected" then return nil, err end
    if not done then io.stderr:write(("%s: %s: %s\n"):format(name, rule[1], tostring(err))) end
  end
  return true
end

-- --- watching -----------------------------------------------------------------------------------------

local function options_of(url)
  local bare = not url:find "^imaps?://[^@]*:[^@]+@"
  return {
    host = url, password = bare and os.getenv "MAIL_PASSWORD" or nil, ssl = { ca_file = o["ca-file"] },
    log = o.log and io.stderr or nil,
  }
end

-- Applies the rules, and ends.
local function once(name, url)
  local imap = assert(mail.imap.connect(options_of(url)))
  assert(imap:select "INBOX")
  assert(apply(name, imap))
  imap:logout()
end

-- After which events the rules are applied: on a new connection, and when mail has come.
local APPLIES = { connected = true, new = true }

-- Stays with one account, through lost connections. One that is lost while the rules are applied is told of by the
-- next event, and they are applied again on the next.
local function keep(name, url)
  local options = options_of(url)
  options.existing, options.readonly, options.connection = false, false, true
  local events = mail.imap.watch(options)
  while true do
    local event, err = events:next()
    if not event then error(err, 0) end
    if event.type == "connected" then
      io.stderr:write(name, ": watching ", tostring(event.session), "\n")
    elseif event.type == "disconnected" then
      io.stderr:write(("%s: %s; again in %.0f s\n"):format(name, tostring(event.err), event.retry_in))
    end
    if APPLIES[event.type] and events.session then apply(name, events.session) end
  end
end

support.main(function()
  io.stdout:setvbuf "line"
  if #o < 2 then support.die("which two accounts? see --help", 2) end
  mail.loop.run(function()
    local stay = o.once and once or keep
    mail.loop.spawn(stay, "work", o[1])
    mail.loop.spawn(stay, "home", o[2])
  end)
end)
