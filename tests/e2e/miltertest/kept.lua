-- A permitted sender: nothing is changed.
local conn = open()

send(conn, "<alerts@contoso.com>",
     {{"From", "Alerts <alerts@contoso.com>"}, {"Subject", "x"}})
check_reply(conn, SMFIR_CONTINUE)
check_no_edits(conn)
mt.disconnect(conn)
