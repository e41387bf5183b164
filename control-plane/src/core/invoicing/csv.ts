/** CSV as RFC 4180 has it, safe to open in a spreadsheet. Pure. */

/** A spreadsheet runs what begins so as a formula; an apostrophe before it makes it a text. Numbers stay numbers. */
const formula = /^[=+\-@\t\r]/;
const number = /^-?\d+(\.\d+)?$/;

function cell(text: string): string {
  const safe = formula.test(text) && !number.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** One record, with the line end that the RFC demands. */
export const csvRecord = (fields: readonly string[]): string => `${fields.map(cell).join(',')}\r\n`;
