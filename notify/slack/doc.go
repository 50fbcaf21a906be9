// Package slack tells a channel of incidents, with one message an incident.
//
// With a bot token (scope chat:write; chat:write.public for channels that the bot has not joined) the message is posted when an
// incident is raised and edited with every later change, so that a channel shows how each incident stands now. Which message
// stands for which incident is kept in a notify.Memo, which survives a restart. An incident that comes back after it was resolved
// has a new message, and so has one that is escalated, since an edit makes nobody look. A message that is gone, or that Slack
// lets nobody edit any more, is posted anew. When the process ends between Slack's answer and the memo having stored it, the
// message of the repeated delivery stands beside the first one.
//
// With the URL of an incoming webhook, which cannot edit, one message is posted when an incident is raised, raised again or
// escalated and one when it is resolved; other changes are not told.
//
// Messages keep to the limits that Slack publishes: 150 characters of header, 3000 of a section, 2000 of a field, 10 fields, 50
// blocks; and to one message a second in a channel. When Slack says when to come back, that is kept.
package slack
