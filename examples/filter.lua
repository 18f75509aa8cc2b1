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

-- Until mail has come: true; or nil, err. Whoever wants the rules applied on other news looks for other
-- events here.
local function news(events)
  while true do
    local event, err = events:next()
    if not event then return nil, err end
    if event.type == "exists" then return true end
  end
end

-- Applies the rules, and again with each arrival: the error that ended it; or nil when all is done. The
-- watch begins first, so that nothing comes unseen between the two.
local function follow(name, imap)
  local events
  local ok, err = imap:select "INBOX"
  if ok and not o.once then
    events, err = imap:idle()
    if events then io.stderr:write(name, ": watching ", tostring(imap), "\n") end
    ok = events
  end
  if ok then ok, err = apply(name, imap) end
  if not ok or o.once then return err end
  while ok do
    ok, err = news(events)
    if ok then ok, err = apply(name, imap) end
  end
  return err or mail.err.new { kind = "closed", message = "the server has ended the session", temporary = true }
end

-- Stays with one account, through lost connections.
local function keep(name, url)
  local delay = 1
  while true do
    local bare = not url:find "^imaps?://[^@]*:[^@]+@"
    local imap, err = mail.imap.connect {
      host = url, password = bare and os.getenv "MAIL_PASSWORD" or nil, ssl = { ca_file = o["ca-file"] },
      log = o.log and io.stderr or nil,
    }
    if imap then
      delay = 1
      err = follow(name, imap)
      imap:close()
      if not err then return end
    end
    if o.once or not err.temporary then error(err, 0) end
    io.stderr:write(("%s: %s; again in %d s\n"):format(name, tostring(err), delay))
    mail.loop.sleep(delay)
    delay = math.min(delay * 2, 300)
  end
end

support.main(function()
  io.stdout:setvbuf "line"
  if #o < 2 then support.die("which two accounts? see --help", 2) end
  mail.loop.run(function()
    mail.loop.spawn(keep, "work", o[1])
    mail.loop.spawn(keep, "home", o[2])
  end)
end)
