export type * as api from './api.js';
export { type Dashboard, type DashboardOptions, serveDashboard } from './serve.js';
