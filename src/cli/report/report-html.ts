import type { DetailedReport } from '../../domain/detailed-report.ts'
export function htmlReport(_reports: readonly DetailedReport[]): string {
  return ''
}
