export { isOwnHost, sameToken, tokenFor } from './access.js';
export type * as api from './api.js';
export { listening } from './listening.js';
export { type ReportOptions, writeReport } from './report.js';
export { type Dashboard, type DashboardOptions, serveDashboard } from './serve.js';
export { type RowReader, type ThumbnailOptions, thumbnail } from './thumbnails.js';
