// Package pagerduty pages people through PagerDuty's Events API v2.
//
// An incident is one alert there: its id is the dedup_key. What opens or changes it is a trigger event, an acknowledgement an
// acknowledge event and its end a resolve event, whatever was sent before: PagerDuty ignores what it knows already and what it
// never heard of. Trigger events carry the published message as custom_details.
//
// What is sent keeps to the limits that PagerDuty publishes: 1024 characters of summary, 255 of dedup_key, 512 KB in all. 202 is
// a delivery; an event that is refused as invalid is not sent again; 429 and 5xx are tried later.
package pagerduty
