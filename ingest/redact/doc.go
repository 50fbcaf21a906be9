// Package redact finds sensitive data in texts and replaces it by typed placeholders.
//
// In flows a text; out flow the text with [EMAIL], [PHONE], [CARD], [IBAN], [IP] and [KEY] in place of what was found, and one
// typed finding for each, with byte offsets into the original and never the value. Redacting a redacted text changes nothing.
//
// What is looked for, and what keeps ordinary numbers and words out:
//
//   - email addresses: a domain with a top-level domain of letters;
//   - phone numbers: international with +, North American, national with a leading 0, and bare digits beside a word such as
//     "phone"; not beside words such as "order" or "invoice";
//   - payment cards: 13 to 19 digits that start as an issuer's do, grouped as printed or not at all, with a valid Luhn digit;
//   - IBANs: a known country, its length, and a valid checksum (ISO 13616, mod 97);
//   - IPv4 and IPv6 addresses, not beside "version";
//   - keys and tokens: the prefixes of common providers, JSON Web Tokens, PEM private keys, bearer tokens, credentials in URLs, and
//     values assigned to names such as api_key, secret and password.
//
// Scanners are written by hand and look at each byte a bounded number of times: no input makes them slow. Where matches
// overlap, their union is replaced and takes the kind of the longest.
//
// The package keeps no state, never logs, and promises no completeness: names and postal addresses are not looked for.
package redact
