-- Sessions mean the same wherever the program runs: no locale of the host changes what is sent, or what an answer is
-- taken for. Compared are whole runs of a program of their own, spec/support/playing.lua, against servers that write
-- their words in any case. Messages: spec/message_locale_spec.lua.

local core = require "mail.core"
local locales = require "spec.support.locales"

local function play(environment, locale)
  return locales.output("spec/support/playing.lua", environment, locale)
end

describe("what sessions say and hear", function()
  local here = play("LC_ALL=C", "C")

  it("is what was to be said", function()
    assert.is_nil(here:find("stack traceback", 1, true), here)
    local at = 1
    local lines = { "heard\tTAG AUTHENTICATE LOGIN", "capabilities\tAUTH=LOGIN AUTH=PLAIN ID IDLE IMAP4REV1",
      "heard\tTAG UID SEARCH CHARSET UTF-8 FROM {3+}\\195\\132I SINCE 1-JAN-2026 UNSEEN",
      "heard\tTAG UID SORT (REVERSE ARRIVAL SIZE) US-ASCII UNSEEN", "fetched\t8\tWIDE \\092Seen\t12",
      "refused\tnil\trejected\tINUSE\t120\ttrue", "heard\tTAG IDLE", "event\tflags\t2\tnil\t\\092Flagged", "smtp",
      "heard\tEHLO Client.Example.ID", "heard\tAUTH LOGIN", "heard\tRCPT TO:<TITLE@Example.ORG> NOTIFY=FAILURE,DELAY",
      "rejected\tnobody@example.org\t550\t5.1.1\trejected", "pop3", "heard\tAUTH LOGIN", "uidl\tid-I", "alone",
      "1.5\t-3\t1,5\ttrue", "digest-md5\tDIGEST-MD5", "true\ttrue\t\\195\\132\ttrue\ttrue", "X-Score: 1.5",
      ":2,DFSai" }
    for _, line in ipairs(lines) do
      local _, last = here:find(line, at, true)
      assert.is_truthy(last, "not there, or not in its place: " .. line)
      at = last + 1
    end
  end)

  it("is the same in each locale", function()
    assert.equal(here, play("", "C.UTF-8"))
    locales.with_turkish(function(folder)
      assert.equal(here, play("LOCPATH=" .. folder, "tr_TR"))
    end)
  end)
end)

describe("letters of ASCII", function()
  it("are in one case, and all other octets as they were", function()
    local all = {}
    for code = 0, 255 do all[#all + 1] = string.char(code) end
    local text = table.concat(all)
    local small = text:gsub("[A-Z]", function(c) return string.char(c:byte() + 32) end)
    local large = text:gsub("[a-z]", function(c) return string.char(c:byte() - 32) end)
    for n = 0, 3 do
      assert.equal(small:rep(n), core.lower(text:rep(n)))
      assert.equal(large:rep(n), core.upper(text:rep(n)))
    end
    for _, length in ipairs { 1, 127, 128, 129, 100000 } do
      local first, last = "I" .. ("i"):rep(length - 1), ("i"):rep(length - 1) .. "I"
      assert.equal(("i"):rep(length), core.lower(first))
      assert.equal(("i"):rep(length), core.lower(last))
      assert.equal(("I"):rep(length), core.upper(last))
    end
    assert.has_error(function() core.lower(nil) end)
    assert.has_error(function() core.upper {} end)
  end)
end)
