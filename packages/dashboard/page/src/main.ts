import { mount } from 'svelte';
import App from './App.svelte';
import './app.css';
import { reportSource } from './report-source.js';
import { serverSource } from './server-source.js';
import { Session } from './session.svelte.js';

const target = document.getElementById('app');
const source = reportSource(document) ?? serverSource();
if (target) mount(App, { target, props: { session: new Session(source) } });
