-- More senders than one: the first From is changed, all others go, and so do
-- Sender and Resent-From that are not permitted, and the broken signature.
local conn = open()

send(conn, "<" .. DEVICE .. ">", {
    {"DKIM-Signature", "v=1; h=from:to; b=x"},
    {"From", "A <a@inside.example>"},
    {"Sender", "b@inside.example"},
    {"FROM", "evil@e.example"},
    {"Resent-From", "c@inside.example"},
    {"X-Original-From", "forged@e.example"},
})
check_reply(conn, SMFIR_CONTINUE)
check_changed(conn, "From", "A <" .. RELAY .. ">")
check_changed(conn, "X-Original-From",
              "A <a@inside.example>, evil@e.example")
for _, name in ipairs({"From", "Sender", "Resent-From", "DKIM-Signature"}) do
    check(mt.eom_check(conn, MT_HDRDELETE, name), name .. " is not deleted")
end
mt.disconnect(conn)
