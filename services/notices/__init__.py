"""How notices travel: mail by SMTP, webhooks by HTTPS; and the commands on channels."""
