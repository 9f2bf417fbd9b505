-- What all scripts share. `socket` comes from the command line (-D socket=...).
-- A step that the milter did not ask for ends a script of miltertest without a
-- word, so each is sent only where it is wanted.

RELAY = "relay@contoso.com"
DEVICE = "scan@inside.example"

function fail(text)
    io.stderr:write(text .. "\n")
    os.exit(1)
end

function check(is_right, text)
    if not is_right then
        fail(text)
    end
end

local function done(result, step)
    check(result == nil, step .. ": " .. tostring(result))
end

function open()
    local conn = mt.connect(socket, 40, 0.05)

    check(conn ~= nil, "can't connect")
    -- Version 6 with all actions and steps, as Postfix offers them.
    done(mt.negotiate(conn, 6, 0x1ff, 0x1fffff), "negotiate")
    if not mt.test_option(conn, SMFIP_NOCONNECT) then
        done(mt.conninfo(conn, "printer.inside.example", "192.0.2.7"), "connect")
    end
    return conn
end

-- A value as it goes over the wire: with its blank only where that was agreed.
local function wire(conn, value)
    if mt.test_option(conn, SMFIP_HDR_LEADSPC) then
        return " " .. value
    end
    return value
end

-- Send a message up to its end. `fields` is a list of {name, value}.
function send(conn, sender, fields)
    mt.macro(conn, SMFIC_MAIL, "i", "4bXyz")
    done(mt.mailfrom(conn, sender), "MAIL")
    if not mt.test_option(conn, SMFIP_NORCPT) then
        done(mt.rcptto(conn, "<someone@example.com>"), "RCPT")
    end
    for _, field in ipairs(fields) do
        done(mt.header(conn, field[1], wire(conn, field[2])), field[1])
    end
    if not mt.test_option(conn, SMFIP_NOEOH) then
        done(mt.eoh(conn), "end of header")
    end
    if not mt.test_option(conn, SMFIP_NOBODY) then
        done(mt.bodystring(conn, "Page 1\r\n"), "body")
    end
    done(mt.eom(conn), "end of message")
end

function check_reply(conn, want)
    local got = mt.getreply(conn)

    check(got == want, string.format("reply %s instead of %s",
                                     string.char(got), string.char(want)))
end

function check_changed(conn, name, value)
    check(mt.eom_check(conn, MT_HDRCHANGE, name, wire(conn, value)),
          name .. " is not changed to " .. value)
end

function check_added(conn, name, value)
    check(mt.eom_check(conn, MT_HDRADD, name, wire(conn, value)),
          name .. " is not added as " .. value)
end

function check_no_edits(conn)
    for _, kind in ipairs({MT_HDRADD, MT_HDRCHANGE, MT_HDRDELETE, MT_HDRINSERT,
                           MT_BODYCHANGE, MT_QUARANTINE}) do
        check(not mt.eom_check(conn, kind), "the message is changed")
    end
end
