// Package measure has the metrics of the suites and their bootstrap intervals. It is pure: values in, figures out.
package measure
