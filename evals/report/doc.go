// Package report writes down what the suites measured: report.json for programs, report.html for people, junit.xml for CI, and a table
// for terminals and READMEs. It reads an earlier report.json back and says what fell since.
//
//	evals.Report ──Write──> report.json, report.html, junit.xml
//	             └─Print, Markdown──> a table
//	report.json of an earlier run ──Read──> evals.Report ─┐
//	                                 evals.Report of now ─┴─Compare──> falls ──Failures──> lines that fail the run
//
// The page needs nothing but itself: no network, no script, no font; charts are SVG that is drawn here.
//
// The package never measures, never judges a figure by anything but its own interval and what the user required of it, and never
// writes half a file.
package report
